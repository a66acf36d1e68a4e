package e2e

import (
	"fmt"
	"sync"
	"testing"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// loops is how many people log in beside an attack.
const loops = 16

// loop is one of them, with a token, which has codes without end.
type loop struct {
	server, service string
	p               *machine.Person
	used            uint64
	in              func(t machine.T, p *machine.Person, code string) bool
}

const (
	loadRobots     = "loadrobots"
	loadStaff      = "loadstaff"
	loadConfigText = "[verifier]\nallow = [\"www-data\"]\n[policy]\nrequire = [\"@" + loadStaff + "\"]\nexempt = [\"@" + loadRobots + "\"]\n" +
		"attempts = { per_window = 1000, per_source = 100000 }\n"
)

// loadSites are the verifier that people log in by, one with the same people that
// nobody logs in by, and whom attackers know there.
type loadSites struct {
	here, other machine.Site
	all         []*loop
	// missing has to enroll first, guest is who runs a program of his own.
	missing, guest *machine.Person
	names          []string // the guest's and the loops'
}

func newLoadSites(tb testing.TB) *loadSites {
	tb.Helper()
	machine.ProbeGroup(tb, loadRobots)
	s := &loadSites{missing: machine.NewPerson(tb, "missing")}
	machine.ProbeGroup(tb, loadStaff, s.missing)
	s.here, s.other = machine.Resident.NewSite(tb, "load", loadConfigText), machine.Resident.NewSite(tb, "load-other", loadConfigText)
	s.all = loopsAt(tb, s.here)
	s.guest = machine.NewPerson(tb, "guest").Enroll(tb, s.here.Users)
	s.guest.Write(tb, s.other.Users, s.guest.SecretFile())
	s.names = []string{s.guest.Name}
	for _, l := range s.all {
		s.names = append(s.names, l.p.Name)
		l.p.Write(tb, s.other.Users, tokenFile(l.p))
	}
	return s
}

// loopsAt are the login loops at sshd, whose front turns to a core when the verifier
// has not taken a login within two seconds, and at two whose fronts can start none:
// vsftpd, which has little address space, and Apache, which is not root's.
func loopsAt(tb testing.TB, here machine.Site) (all []*loop) {
	tb.Helper()
	machine.AddToService(tb, "sshd", here.Name+"-ssh", here.Arguments("protocol=ssh")...)
	here.CodeOnly(tb, here.Name+"-ftp", "protocol=ftp")
	here.CodeOnly(tb, here.Name+"-http", "protocol=http")
	sshd := hosts.StartSSHD(tb, here.Name+"-ssh", hosts.WithCode...)
	byFTP, byHTTP := hosts.StartVSFTPD(tb, here.Name+"-ftp"), hosts.StartApache(tb, here.Name+"-http")
	bySSH := func(t machine.T, p *machine.Person, code string) bool {
		return sshd.Login(t, p, answers(p, code)).In(p)
	}
	for i := range loops {
		p := machine.NewPerson(tb, "load")
		p.Write(tb, here.Users, tokenFile(p))
		all = append(all, []*loop{
			{"sshd", here.Name + "-ssh", p, 0, bySSH}, {"vsftpd", here.Name + "-ftp", p, 0, byFTP.In}, {"apache", here.Name + "-http", p, 0, byHTTP.In},
		}[i%3])
	}
	return all
}

func tokenFile(p *machine.Person) string {
	return fmt.Sprintf("version = 1\nuser = %q\n\n[[factor]]\nid = \"token\"\nkind = \"hotp\"\nsecret = %q\ndigits = 8\nconfirmed = 2026-11-22T10:00:00Z\n", p.Name, p.Secret)
}

func (l *loop) code(tb testing.TB, at uint64) string {
	code, err := hotp.GenerateCodeCustom(l.p.Secret, at, hotp.ValidateOpts{Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		tb.Error(err)
	}
	machine.Keep(code)
	return code
}

// right logs in with the next right code, which must open unless the server may
// refuse. It returns the code if it did.
func (l *loop) right(tb testing.TB, mayRefuse bool) (code string, in bool) {
	tb.Helper()
	code = l.code(tb, l.used)
	before := l.without(tb)
	if in = l.in(tb, l.p, code); in {
		l.used++
	} else if !mayRefuse && l.without(tb) == before {
		tb.Errorf("%s refused %s with a right code:\n%s", l.server, l.p.Name, machine.Text(machine.Log.Lines("user="+l.p.Name+" ")))
	}
	return code, in
}

// without is how often a front has found no core to turn to: the machine was too slow
// for the verifier to take the login in time. An sshd has one.
func (l *loop) without(tb testing.TB) int {
	tb.Helper()
	lines := len(machine.Log.Lines("user="+l.p.Name+" ", "service="+l.service+" ", "pam_otpgate_core.so: expected the core there"))
	if lines > 0 && l.server == "sshd" {
		tb.Errorf("sshd's front had no core to turn to for %s", l.p.Name)
	}
	return lines
}

// everybody does something for each loop at once.
func everybody(all []*loop, do func(l *loop)) {
	var running sync.WaitGroup
	for _, l := range all {
		running.Go(func() { do(l) })
	}
	running.Wait()
}
