package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/factor"
)

// behindPassword are the password stages of docs/pam-stacks.md for servers with
// one field.
const (
	ownPassword    = "auth requisite pam_unix.so use_first_pass"
	debianPassword = "@include common-auth"
)

// protocolsWithout is the configuration's default but for one that is switched off.
func protocolsWithout(off string) string {
	var names []string
	for _, name := range []string{"ssh", "sftp", "ftp", "ftps", "http", "https", "webdav", "sudo", "su", "login"} {
		if name != off {
			names = append(names, `"`+name+`"`)
		}
	}
	return "[policy]\nprotocols = [" + strings.Join(names, ", ") + "]\n"
}

// fieldTest is a server whose one field is the password with the code behind.
type fieldTest struct {
	here     machine.Site
	service  string
	protocol string
	extra    string // of the configuration
}

func (f fieldTest) try(t *testing.T, server *hosts.Server, p *machine.Person, field string, want bool, audit ...string) {
	t.Helper()
	if in := server.In(t, p, field); in != want {
		t.Errorf("%s: expected in: %v, found in: %v\n%s", server.Name, want, in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
	if len(audit) > 0 {
		expectAudit(t, p, append(audit, "service="+f.service, "protocol="+f.protocol)...)
	}
}

// run shows everything that matters of one server.
func (f fieldTest) run(t *testing.T, server *hosts.Server) {
	const window = "[totp]\nwindow = 3\n"
	f.here.Configure(t, window+f.extra)
	p := machine.NewPerson(t, "fie")
	codes, recovery := factor.NewRecovery(p.Name)
	machine.Keep(codes...)
	p.Write(t, f.here.Users, p.SecretFile()+"\n[recovery]\nhashes = [\""+strings.Join(recovery.Hashes, `", "`)+"\"]\n")
	code := p.Code(t, 0)
	f.try(t, server, p, p.Password, false, "verdict=denied", "rule=password-repeated", "no code behind the password")
	f.try(t, server, p, p.Password+p.Wrong(t), false, "verdict=denied", "rule=code", "codes: 1 wrong, 0 used before")
	before := len(machine.Log.Lines("otpgate", "user="+p.Name+" "))
	f.try(t, server, p, "not-"+p.Password+code, false)
	f.try(t, server, p, code, false)
	f.try(t, server, p, code+p.Password, false)
	if lines := machine.Log.Lines("otpgate", "user="+p.Name+" "); len(lines) != before {
		t.Errorf("expected that a wrong password leaves the code alone, found\n%s", machine.Text(lines))
	}
	f.try(t, server, p, p.Password+code, true, "verdict=accepted", "rule=totp:phone")
	f.try(t, server, p, p.Password+code, false, "verdict=denied", "rule=code", "codes: 0 wrong, 1 used before")
	f.try(t, server, p, p.Password+codes[0], true, "verdict=accepted", "rule=recovery")
	if other := server.ByOther(); other != nil {
		next := p.Code(t, 1)
		f.try(t, other, p, p.Password+p.Wrong(t), false)
		f.try(t, other, p, p.Password+next, true)
		f.try(t, other, p, p.Password+next, false)
	}
	// Who is not asked types the password alone, whatever it ends in.
	f.here.Configure(t, window+f.extra+protocolsWithout(f.protocol))
	f.try(t, server, p, p.Password, true, "verdict=not-asked", "rule=policy.protocols")
	f.try(t, server, p, p.Password+p.Code(t, 2), false)
	digits := machine.WithoutUser("dig")
	digits.Password += "123456"
	machine.Keep(digits.Password)
	digits.Add(t)
	digits.Enroll(t, f.here.Users)
	f.try(t, server, digits, digits.Password, true, "verdict=not-asked", "rule=policy.protocols")
	if accepted := accepted(p); len(accepted) != 2 && (len(accepted) != 3 || server.ByOther() == nil) {
		t.Errorf("expected each code to be accepted once, found\n%s", machine.Text(accepted))
	}
}

// FTP servers take password and code in one field, with and without TLS.
func TestFieldFTP(t *testing.T) {
	t.Parallel()
	all := append(slices.Clone(machine.Paths), machine.Remote)
	for name, test := range map[string]struct {
		start    func(t machine.T, service string) *hosts.Server
		protocol string
		password string
		paths    []machine.Path
	}{
		"vsftpd":       {hosts.StartVSFTPD, "ftp", debianPassword, byVerifier},
		"vsftpd-tls":   {hosts.StartVSFTPDWithTLS, "ftps", debianPassword, byVerifier},
		"proftpd":      {hosts.StartProFTPD, "ftp", debianPassword, all},
		"proftpd-tls":  {hosts.StartProFTPDWithTLS, "ftps", debianPassword, all},
		"vsftpd-unix":  {hosts.StartVSFTPD, "ftp", ownPassword, []machine.Path{machine.Resident}},
		"proftpd-unix": {hosts.StartProFTPD, "ftp", ownPassword, machine.Paths},
	} {
		for _, path := range test.paths {
			t.Run(name+" "+string(path), func(t *testing.T) {
				t.Parallel()
				here := path.NewSite(t, name+"-field", "")
				here.AroundPassword(t, here.Name, test.password, "protocol="+test.protocol)
				fieldTest{here, here.Name, test.protocol, ""}.run(t, test.start(t, here.Name))
			})
		}
	}
}

// Apache's three ways in, each with a PAM service that says which it is.
func TestFieldApache(t *testing.T) {
	t.Parallel()
	// pam_unix does not let www-data ask about others but as one of this group.
	machine.JoinGroup(t, "www-data", "shadow")
	for _, path := range byVerifier {
		t.Run(string(path), func(t *testing.T) {
			t.Parallel()
			sites, run := fieldSites(t, path, "apache", "http", "https", "webdav")
			apache := hosts.StartApacheFor(t, sites["http"].Name, sites["https"].Name, sites["webdav"].Name)
			run(apache.HTTP, apache.HTTPS, apache.DAV)
		})
	}
}

// fieldSites are a web server's, one for each protocol, on one machine; run tests the
// servers that are named after them.
func fieldSites(t *testing.T, path machine.Path, name string, protocols ...string) (sites map[string]machine.Site, run func(...*hosts.Server)) {
	t.Helper()
	const allow = "[verifier]\nallow = [\"www-data\"]\n"
	sites = map[string]machine.Site{}
	newSite := path.NewSite
	for _, protocol := range protocols {
		here := newSite(t, name+"-"+protocol, allow)
		newSite = here.NewSiteBeside
		here.AroundPassword(t, here.Name, ownPassword, "protocol="+protocol)
		sites[protocol] = here
	}
	return sites, func(servers ...*hosts.Server) {
		for _, server := range servers {
			t.Run(server.Name, func(t *testing.T) {
				t.Parallel()
				here := sites[server.Name]
				fieldTest{here, here.Name, server.Name, allow}.run(t, server)
			})
		}
	}
}

// Clients of web servers make many requests with one field. The server has to
// remember it, since the code in it is good once; here it does for all ways in.
func TestFieldRemembered(t *testing.T) {
	t.Parallel()
	machine.JoinGroup(t, "www-data", "shadow")
	for _, path := range byVerifier {
		t.Run(string(path), func(t *testing.T) {
			t.Parallel()
			fieldRemembered(t, path.NewSite(t, "apache-remembers", "[totp]\nwindow = 3\n[verifier]\nallow = [\"www-data\"]\n"))
		})
	}
}

func fieldRemembered(t *testing.T, here machine.Site) {
	here.AroundPassword(t, here.Name, ownPassword, "protocol=webdav")
	apache := hosts.StartApacheThatRemembers(t, here.Name)
	p := machine.NewPerson(t, "fie").Enroll(t, here.Users)
	field := p.Password + p.Code(t, 0)
	for _, server := range []*hosts.Server{apache.DAV, apache.DAV, apache.HTTP, apache.HTTPS} {
		if !server.In(t, p, field) {
			t.Errorf("%s: expected that the field is remembered\n%s", server.Name, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	for _, other := range []string{p.Password, p.Password + p.Wrong(t), "not-" + field} {
		if apache.DAV.In(t, p, other) {
			t.Error("in with another field than the one that is remembered")
		}
	}
	if accepted := accepted(p); len(accepted) != 1 {
		t.Errorf("expected one question of PAM's to be accepted, found\n%s", machine.Text(accepted))
	}
}

// Where the verifier does not let the server's user ask for others, the line
// that takes the code off denies already.
func TestFieldApacheNotAllowed(t *testing.T) {
	t.Parallel()
	here := machine.Resident.NewSite(t, "apache-stranger", "")
	here.AroundPassword(t, here.Name, ownPassword, "protocol=http")
	server := hosts.StartApache(t, here.Name)
	p := machine.NewPerson(t, "fie").Enroll(t, here.Users)
	if server.In(t, p, p.Password+p.Code(t, 0)) {
		t.Error("expected a denial, found it let in")
	}
	expectAudit(t, p, "verdict=fault", "rule=peer", "asks for another user")
}

// sshd asks, and has a method that cannot: with a split line both work.
func TestFieldSSH(t *testing.T) {
	onAllPaths(t, "field-ssh", "[totp]\nwindow = 3\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.AroundPassword(t, here.Name, debianPassword, "protocol=ssh")
		sshd := hosts.StartSSHD(t, here.Name, "PasswordAuthentication yes", "KbdInteractiveAuthentication yes")
		p := machine.NewPerson(t, "fie").Enroll(t, here.Users)
		const once, asking = "PreferredAuthentications=password", "PreferredAuthentications=keyboard-interactive"
		type given = machine.Answers
		wrong := p.Wrong(t)
		login := func(how string, answers given, codes int, in bool) {
			t.Helper()
			d := sshd.Login(t, p, answers, how)
			if in {
				expectIn(t, p, d, codes)
			} else {
				expectOut(t, p, d, codes)
			}
		}
		login(once, given{Passwords: []string{p.Password}}, 0, false)
		expectAudit(t, p, "rule=password-repeated", "no code behind the password")
		login(once, given{Passwords: []string{p.Password + wrong}}, 0, false)
		expectAudit(t, p, "rule=code", "codes: 1 wrong")
		code := p.Code(t, -1)
		login(once, given{Passwords: []string{"not-" + p.Password + code}}, 0, false)
		login(once, given{Passwords: []string{p.Password + code}}, 0, true)
		login(once, given{Passwords: []string{p.Password + code}}, 0, false)
		login(asking, given{Passwords: []string{p.Password}, Codes: []string{p.Code(t, 0)}}, 1, true)
		login(asking, given{Passwords: []string{p.Password + p.Code(t, 1)}}, 0, true)
		login(asking, given{Passwords: []string{p.Password + wrong}, Codes: []string{p.Code(t, 2)}}, 1, true)
		login(asking, given{Passwords: []string{"not-" + p.Password + p.Code(t, 3)}}, 0, false)
		login(asking, given{Passwords: []string{p.Password}, Codes: []string{p.Code(t, 3)}}, 1, true)
		// Three attempts on one handle, each from nothing.
		p.Secret = machine.WithoutUser("fie").Secret
		p.Enroll(t, here.Users)
		code = p.Code(t, 0)
		login("NumberOfPasswordPrompts=3", given{Passwords: []string{"not-" + p.Password + code, "not-" + p.Password, p.Password + code}}, 0, true)
	})
}

// sudo tries three times on one handle. A code that came with a wrong password
// is not there for the next try.
func TestFieldSudo(t *testing.T) {
	onAllPaths(t, "field-sudo", "[totp]\nwindow = 3\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.AroundPassword(t, here.Name, debianPassword, "protocol=sudo")
		p := sudoer(t, here)
		if err := os.WriteFile("/etc/sudoers.d/"+here.Name, []byte("Defaults:"+p.Name+" pam_service="+here.Name+"\n"), 0o440); err != nil {
			t.Fatal(err)
		}
		code, next := p.Code(t, 0), p.Code(t, 1)
		d := sudo(t, here, p, nil, machine.Answers{Passwords: []string{"not-" + p.Password + code, p.Password}, Codes: []string{p.Wrong(t), code}})
		expectIn(t, p, d, 2)
		d = sudo(t, here, p, nil, machine.Answers{Passwords: []string{"not-" + p.Password, p.Password + next}})
		expectIn(t, p, d, 0)
		d = sudo(t, here, p, nil, machine.Answers{Passwords: []string{p.Password + next, "x", "x"}, Codes: []string{p.Wrong(t), p.Wrong(t), p.Wrong(t)}})
		expectOut(t, p, d, 2)
	})
}

// A module that asks for the password again gets the whole field from such a
// host. That is the password of somebody whose password ends in digits; but
// then nothing of it is a code, whatever it happens to be.
func TestFieldAskedAgain(t *testing.T) {
	onAllPaths(t, "field-again", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		again := "auth required " + machine.Files + "/items.so reprompt\n" + ownPassword
		here.AroundPassword(t, here.Name, again, "protocol=ftp")
		p := machine.WithoutUser("aga")
		p.Enroll(t, here.Users)
		code := p.Code(t, 0)
		p.Password += code
		machine.Keep(p.Password)
		p.Add(t)
		server := hosts.StartProFTPD(t, here.Name)
		for _, field := range []string{p.Password, p.Password + p.Code(t, 1), strings.TrimSuffix(p.Password, code)} {
			if server.In(t, p, field) {
				t.Errorf("expected a denial, found it let in\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
		}
		expectAudit(t, p, "rule=password-repeated")
		machine.Log.Expect(t, "otpgate", "user="+p.Name+" ", "warning=", "use_first_pass")
	})
}

// The stacks of docs/pam-stacks.md for one field: what each makes of a code
// behind a wrong password.
func TestFieldStacks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		password string
		burned   bool // a wrong password costs the code that came with it
	}{
		"requisite": {ownPassword, false},
		"include":   {debianPassword, false},
		"required":  {"auth required pam_unix.so use_first_pass", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, "field-stack-"+name, "")
			here.AroundPassword(t, here.Name, test.password, "protocol=ftp")
			p := machine.NewPerson(t, "sta").Enroll(t, here.Users)
			code := p.Code(t, 0)
			login := func(field string) int {
				return hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{RemoteHost: p.Address}).Verdict(t, slices.Repeat([]string{field}, 4)...)
			}
			if verdict := login("not-" + p.Password + code); verdict == hosts.PAMSuccess {
				t.Error("in with a wrong password")
			}
			if in := login(p.Password+code) == hosts.PAMSuccess; in == test.burned {
				t.Errorf("the code afterwards: found in: %v\n%s", in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
		})
	}
}
