package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// A login that is remembered is asked again from elsewhere, by another
// protocol, and once it is expired: one alone, or everybody's.
func TestSessions(t *testing.T) {
	onAllPaths(t, "sessions", "[policy]\nsession = \"90d\"\nsessions = { sftp = \"0s\" }\n[totp]\nwindow = 3\n", func(t *testing.T, here machine.Site) {
		sshd := startSSHD(t, here)
		ctl := func(args ...string) string {
			out, err := exec.Command(machine.Files+"/otpctl", append([]string{"--config", here.Deciding()}, args...)...).CombinedOutput()
			if err != nil {
				t.Errorf("otpctl %q: %v: %s", args, err, out)
			}
			return string(out)
		}
		p, q := machine.NewPerson(t, "rem").Enroll(t, here.Users), machine.NewPerson(t, "rem").Enroll(t, here.Users)
		for _, who := range []*machine.Person{p, q} {
			expectIn(t, who, sshd.Login(t, who, answers(who, who.Code(t, 0))), 1)
			expectIn(t, who, sshd.Login(t, who, answers(who)), 0)
			expectAudit(t, who, "verdict=not-asked", "rule=policy.session")
		}
		elsewhere := *p
		elsewhere.Address = "127.9.9.9"
		expectOut(t, p, sshd.Login(t, &elsewhere, answers(p, p.Wrong(t))), 2)
		if listed := ctl("session", "list"); !strings.Contains(listed, p.Name) || !strings.Contains(listed, q.Address) || strings.Contains(listed, "127.9.9.9") {
			t.Errorf("otpctl session list:\n%s", listed)
		}
		ctl("session", "expire", p.Name)
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 1))), 1)
		expectIn(t, q, sshd.Login(t, q, answers(q)), 0)
		ctl("session", "clear", "--yes")
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 2))), 1)
		expectIn(t, q, sshd.Login(t, q, answers(q, q.Code(t, 1))), 1)
	})
}

// A protocol of one's own remembers logins for itself, and is one that a person
// may be asked on alone. One that nobody has declared denies.
func TestOwnProtocols(t *testing.T) {
	const policy = "[policy]\nsession = \"90d\"\n"
	const declared = policy + "own_protocols = [\"vpn\"]\n"
	onBothPaths(t, "own-protocols", declared, func(t *testing.T, here machine.Site) {
		t.Parallel()
		service := here.Name + "-vpn"
		here.AddToService(t, "sshd", service, "protocol=vpn")
		here.AddToService(t, "sshd", here.Name, "protocol=login")
		vpn, login := hosts.StartSSHD(t, service, hosts.WithCode...), hosts.StartSSHD(t, here.Name, hosts.WithCode...)
		p := machine.NewPerson(t, "own").Enroll(t, here.Users)
		expectIn(t, p, vpn.Login(t, p, answers(p, p.Code(t, 0))), 1)
		expectAudit(t, p, "protocol=vpn", "verdict=accepted")
		expectIn(t, p, vpn.Login(t, p, answers(p)), 0)
		expectOut(t, p, login.Login(t, p, answers(p, p.Wrong(t))), 2)
		q := machine.NewPerson(t, "own")
		q.Write(t, here.Users, "protocols = [\"vpn\"]\n"+q.SecretFile())
		expectIn(t, q, login.Login(t, q, answers(q)), 0)
		expectAudit(t, q, "protocol=login", "verdict=not-asked", "rule=user.protocols")
		expectIn(t, q, vpn.Login(t, q, answers(q, q.Code(t, 0))), 1)
		here.Configure(t, policy)
		expectOut(t, p, vpn.Login(t, p, answers(p)), 0)
		expectAudit(t, p, "verdict=fault", "rule=module-argument", "protocol=vpn: expected a protocol, one of ssh")
		expectOut(t, q, login.Login(t, q, answers(q)), 0)
		expectAudit(t, q, "verdict=fault", "rule=secret-file", "protocols: expected a protocol, one of ssh")
	})
}

// Grace lets in and tells; when it is over nobody gets in without a code.
func TestGrace(t *testing.T) {
	onAllPaths(t, "grace", "", func(t *testing.T, here machine.Site) {
		const must = "[policy]\nrequire = [\"@all\"]\n"
		here.Configure(t, must+"grace = \"14d\"\n")
		sshd := startSSHD(t, here)
		p := machine.NewPerson(t, "gra")
		d := sshd.Login(t, p, answers(p))
		expectIn(t, p, d, 0)
		if !strings.Contains(d.Transcript, "a verification code is required here") {
			t.Errorf("was not told:\n%s", d.Transcript)
		}
		expectAudit(t, p, "verdict=not-asked", "rule=policy.grace", "until ")
		here.Configure(t, must+"grace = \"2026-01-31\"\n")
		expectOut(t, p, sshd.Login(t, p, answers(p)), 0)
		here.Configure(t, must+"grace = \"2999-12-31\"\n")
		expectIn(t, p, sshd.Login(t, p, answers(p)), 0)
		// It began long enough ago, by the person's own record.
		here.Configure(t, must+"grace = \"0s\"\n")
		expectOut(t, p, sshd.Login(t, p, answers(p)), 0)
	})
}

// An account for automation gets in with its key, asked nothing, without a
// terminal, also where everybody else needs a code after the key.
func TestAutomation(t *testing.T) {
	onAllPaths(t, "automation", "", func(t *testing.T, here machine.Site) {
		robot, p := machine.NewPerson(t, "bot"), machine.NewPerson(t, "hum").Enroll(t, here.Users)
		here.Configure(t, "[policy]\nrequire = [\"@all\"]\nexempt = [\""+robot.Name+"\"]\n")
		// A stack of our line alone lets nobody in who is not asked.
		here.CodeOnly(t, here.Name, "protocol=ssh")
		methods := []string{"PasswordAuthentication no", "KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive:pam"}
		sshd := hosts.StartSSHD(t, here.Name, methods...)
		byKey := hosts.StartSSHD(t, here.Name, append(methods, "Match User "+robot.Name, "AuthenticationMethods publickey")...)
		_, robotKey := newKey(t, robot)
		_, key := newKey(t, p)
		// Exempt, so that the second method asks nothing; and, for clients in
		// batch mode, which know no second method, by the key alone.
		for name, cmd := range map[string]*exec.Cmd{
			"exempt": sshd.Client(robot, "IdentityFile="+robotKey), "batch mode": byKey.Client(robot, "IdentityFile="+robotKey, "BatchMode=yes"),
		} {
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), robot.Name+" is in") {
				t.Errorf("%s: the robot is not let in: %v: %s", name, err, out)
			}
		}
		expectAudit(t, robot, "verdict=not-asked", "rule=policy.exempt")
		for _, server := range []*hosts.SSHD{sshd, byKey} {
			if out, err := server.Client(p, "IdentityFile="+key, "BatchMode=yes").CombinedOutput(); err == nil || strings.Contains(string(out), "is in") {
				t.Errorf("a person is let in with the key alone: %s", out)
			}
		}
		expectIn(t, p, sshd.Login(t, p, machine.Answers{Codes: []string{p.Code(t, 0)}}, "IdentityFile="+key), 1)
	})
}
