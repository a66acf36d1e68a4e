package e2e

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// oneField are servers that take a name and one field from their clients, and
// answer every prompt with it. Here it holds the code alone. user is who the
// module runs as, "" for root. Only paths by a verifier are for them: the others
// of the suite show the forked one, which these users could not take, since
// root's secrets are not theirs to read.
var oneField = []struct {
	name     string
	start    func(t machine.T, service string) *hosts.Server
	protocol string
	user     string
}{
	{"vsftpd", hosts.StartVSFTPD, "ftp", ""},
	{"apache", hosts.StartApache, "http", "www-data"},
	{"radius", hosts.StartRADIUS, "login", "freerad"},
}

// The code opens the server once, a wrong one does not; and a server without
// root's rights gets nobody in unless verifier.allow names its user.
func TestOneField(t *testing.T) {
	t.Parallel()
	for _, test := range oneField {
		for _, path := range byVerifier {
			t.Run(test.name+" "+string(path), func(t *testing.T) {
				t.Parallel()
				here := path.NewSite(t, test.name, "")
				here.WriteService(t, here.Name, here.Line("protocol="+test.protocol)+"\naccount required pam_permit.so\n")
				oneFieldTest(t, here, test.start(t, here.Name), test.protocol, test.user)
			})
		}
	}
}

func oneFieldTest(t *testing.T, here machine.Site, server *hosts.Server, protocol, user string) {
	p := machine.NewPerson(t, "one").Enroll(t, here.Users)
	code := p.Code(t, 0)
	try := func(field string, want bool, audit ...string) {
		t.Helper()
		if in := server.In(t, p, field); in != want {
			t.Errorf("expected in: %v, found in: %v\n%s", want, in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
		expectAudit(t, p, append(audit, "service="+here.Name, "protocol="+protocol)...)
	}
	if user != "" {
		try(code, false, "verdict=fault", "rule=peer", "asks for another user")
		here.Configure(t, "[verifier]\nallow = [\""+user+"\"]\n")
	}
	try(p.Wrong(t), false, "verdict=denied")
	try(code, true, "verdict=accepted", "rule=totp:phone")
	try(code, false, "verdict=denied")
	if accepted := accepted(p); len(accepted) != 1 {
		t.Errorf("expected one login to be accepted, found\n%s", machine.Text(accepted))
	}
}

// A forked core does not start under vsftpd's limits: that denies, says so, and
// leaves the code good.
func TestVSFTPDForked(t *testing.T) {
	t.Parallel()
	here := machine.Resident.NewSite(t, "vsftpd-both", "")
	p := machine.NewPerson(t, "vic").Enroll(t, here.Users)
	code := p.Code(t, 0)
	for _, path := range machine.Paths {
		service := "vsftpd-both-" + string(path)
		machine.WriteService(t, service, here.Over(path).Line("protocol=ftp")+"\naccount required pam_permit.so\n")
		if in := hosts.StartVSFTPD(t, service).In(t, p, code); in != (path == machine.Resident) {
			t.Errorf("%s: found in: %v\n%s", path, in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	expectAudit(t, p, "service=vsftpd-both-forked", "verdict=fault", "rule=front")
	expectAudit(t, p, "service=vsftpd-both-resident", "verdict=accepted")
}

// Behind a module that has taken the field for the password, the same text
// comes again as the code: that is refused, and costs no attempt.
func TestOneFieldAfterPassword(t *testing.T) {
	t.Parallel()
	here := machine.Resident.NewSite(t, "field-after", "[policy]\nattempts = { per_window = 2 }\n")
	here.AddToService(t, "vsftpd", here.Name, "protocol=ftp")
	server := hosts.StartVSFTPD(t, here.Name)
	p := machine.NewPerson(t, "one").Enroll(t, here.Users)
	for range 3 { // more often than the limit
		if server.In(t, p, p.Password) {
			t.Error("expected that the password alone is refused, found it let in")
		}
	}
	expectAudit(t, p, "verdict=denied", "rule=password-repeated")
	if locked := machine.Log.Lines("user="+p.Name+" ", "locked"); len(locked) > 0 {
		t.Errorf("expected that it costs no attempt, found\n%s", machine.Text(locked))
	}
	// Nor does a code get in: it is no password.
	if code := p.Code(t, 0); server.In(t, p, code) || server.In(t, p, p.Password+code) {
		t.Error("expected that a code is refused as a password, found it let in")
	}
	for _, line := range machine.Log.Lines("otpgate", "user="+p.Name+" ") {
		if !strings.Contains(line.Text, "rule=password-repeated") {
			t.Errorf("expected that the code was never asked for, found %s", line.Text)
		}
	}
}
