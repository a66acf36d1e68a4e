package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pquerna/otp"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

const mustEnroll = "[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\n[totp]\nissuer = \"example.com\"\nwindow = 3\n"

// setUp logs in with the password, and says yes to enrolling.
func setUp(t *testing.T, client *exec.Cmd, p *machine.Person) *machine.Screen {
	t.Helper()
	screen := machine.Show(t, 100, 60, client)
	screen.Await("assword:")
	screen.Type(p.Password)
	screen.Await("Press Enter to set it up")
	screen.Type("")
	return screen
}

// finish reads the QR code off the screen, gives a code of it, and returns that
// one and the recovery codes that are shown. The person is in then.
func finish(t *testing.T, screen *machine.Screen, p *machine.Person) (first string, recovery []string) {
	t.Helper()
	screen.Await("Verification code:")
	uri := screen.QR()
	key, err := otp.NewKeyFromURL(uri)
	if err != nil || key.Issuer() != "example.com" || key.AccountName() != p.Name {
		t.Fatalf("the QR code holds %q: %v", uri, err)
	}
	p.Secret = key.Secret()
	machine.Keep(p.Secret)
	first = p.Code(t, 0)
	screen.Type(first)
	screen.Await("Press Enter when you have written")
	recovery = regexp.MustCompile(`[0-9a-z]{4}(-[0-9a-z]{4}){3}`).FindAllString(screen.Text(), -1)
	machine.Keep(recovery...)
	if len(recovery) != 10 {
		t.Errorf("expected ten recovery codes, found %d\n%s", len(recovery), screen.Text())
	}
	screen.Type("")
	screen.Await(p.Name + " is in")
	return first, recovery
}

// Somebody who must give a code and has none sets it up at the login, reading
// the QR code off the screen, and logs in with the app from then on.
func TestEnrollAtLogin(t *testing.T) {
	onAllPaths(t, "enroll-login", mustEnroll, func(t *testing.T, here machine.Site) {
		sshd := startSSHD(t, here)
		p := machine.NewPerson(t, "new")
		screen := setUp(t, sshd.Client(p), p)
		first, recovery := finish(t, screen, p)
		expectAudit(t, p, "verdict=enrolled", "rule=totp:phone")
		expectAudit(t, p, "verdict=accepted", "rule=totp:phone")
		// The first code is spent; the next one and a recovery code are good.
		expectOut(t, p, sshd.Login(t, p, answers(p, first)), 2)
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 1))), 1)
		expectIn(t, p, sshd.Login(t, p, answers(p, recovery[0])), 1)
	})
}

// A host that cannot ask shows no key: it says how to enroll, and refuses.
func TestEnrollNeedsATerminal(t *testing.T) {
	t.Parallel()
	here := machine.Resident.NewSite(t, "enroll-ftp", mustEnroll)
	here.AddToService(t, "vsftpd", here.Name, "protocol=ftp")
	server := hosts.StartVSFTPD(t, here.Name)
	p := machine.NewPerson(t, "ftp")
	if server.In(t, p, p.Password) {
		t.Error("let in without a code")
	}
	expectAudit(t, p, "verdict=denied", "rule=policy.unenrolled", "the host cannot ask")
	if files, err := os.ReadDir(here.Users); err != nil || len(files) != 0 {
		t.Errorf("expected no secret file, found %v, %v", files, err)
	}
}

// Whoever turns back on the way has enrolled nothing and is not in.
func TestEnrollTurnedBack(t *testing.T) {
	onAllPaths(t, "enroll-back", mustEnroll, func(t *testing.T, here machine.Site) {
		sshd := startSSHD(t, here)
		p := machine.NewPerson(t, "back")
		screen := setUp(t, sshd.Client(p), p)
		for asked := range 3 {
			screen.AwaitTimes("Verification code:", asked+1)
			screen.Type("12")
		}
		expectAudit(t, p, "verdict=denied", "rule=policy.unenrolled")
		if _, err := os.Stat(filepath.Join(here.Users, p.Name+".toml")); !os.IsNotExist(err) {
			t.Errorf("expected no secret file, found %v", err)
		}
		if strings.Contains(screen.Text(), "is in") {
			t.Errorf("let in:\n%s", screen.Text())
		}
	})
}
