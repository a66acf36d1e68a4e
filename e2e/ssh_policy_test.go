package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// startSSHD starts the site's sshd. Its PAM service is not in [services], so
// the line in pam.d says which protocol it is.
func startSSHD(t *testing.T, here machine.Site, lines ...string) *hosts.SSHD {
	t.Helper()
	here.AddToService(t, "sshd", here.Name, "protocol=ssh")
	return hosts.StartSSHD(t, here.Name, append(hosts.WithCode, lines...)...)
}

// enrollment is what a person's secret file says.
type enrollment func(p *machine.Person) string

func none(*machine.Person) string          { return "" }
func confirmed(p *machine.Person) string   { return p.SecretFile() }
func disabled(p *machine.Person) string    { return "enabled = false\n" + p.SecretFile() }
func unconfirmed(p *machine.Person) string { return withoutLine(p.SecretFile(), "confirmed") }
func onlySudo(p *machine.Person) string    { return "protocols = [\"sudo\"]\n" + p.SecretFile() }
func alsoSSH(p *machine.Person) string     { return "protocols = [\"ssh\"]\n" + p.SecretFile() }

func withoutLine(text, key string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, key) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// policyOutcome says whether a login is asked, and whether it is let in if it is not.
type policyOutcome string

const (
	isAsked policyOutcome = "asked"
	isIn    policyOutcome = "in without a code"
	isOut   policyOutcome = "out without being asked"
)

// policyRow is what the policy says about a login. NAME in config is who logs in.
type policyRow struct {
	name, config string
	enrollment   enrollment
	want         policyOutcome
	audit        string
}

const requireAll = "[policy]\nrequire = [\"@all\"]\n"

var policyRows = []policyRow{
	{"nobody-must", "", none, isIn, "verdict=not-asked rule=not-enrolled"},
	{"enrolled", "", confirmed, isAsked, "rule=totp:phone"},
	{"disabled", "", disabled, isIn, "verdict=not-asked rule=not-enrolled"},
	{"unconfirmed", "", unconfirmed, isIn, "verdict=not-asked rule=not-enrolled"},
	{"all-enrolled", requireAll, confirmed, isAsked, "rule=totp:phone"},
	{"all-default", requireAll, none, isOut, "verdict=denied rule=policy.unenrolled"},
	{"all-refuse", requireAll + "unenrolled = \"refuse\"\n", none, isOut, "verdict=denied rule=policy.unenrolled"},
	{"all-allow", requireAll + "unenrolled = \"allow\"\n", none, isIn, "verdict=not-asked rule=policy.unenrolled"},
	{"all-disabled", requireAll, disabled, isOut, "verdict=denied rule=policy.unenrolled"},
	{"all-unconfirmed", requireAll, unconfirmed, isOut, "verdict=denied rule=policy.unenrolled"},
	{"by-name", "[policy]\nrequire = [\"NAME\"]\n", none, isOut, "verdict=denied rule=policy.unenrolled"},
	{"by-group", "[policy]\nrequire = [\"@NAME\"]\n", none, isOut, "verdict=denied rule=policy.unenrolled"},
	{"unknown-group", "[policy]\nrequire = [\"@nosuchgroup\"]\n", none, isOut, "verdict=denied rule=policy.unenrolled"},
	{"exempt-name", requireAll + "exempt = [\"NAME\"]\n", confirmed, isIn, "verdict=not-asked rule=policy.exempt"},
	{"exempt-group", requireAll + "exempt = [\"@NAME\"]\n", none, isIn, "verdict=not-asked rule=policy.exempt"},
	{"exempt-nobody", requireAll + "exempt = [\"@nosuchgroup\"]\n", none, isOut, "verdict=denied rule=policy.unenrolled"},
	{"trusted", requireAll + "trusted_networks = [\"127.0.0.0/8\"]\n", confirmed, isIn, "verdict=not-asked rule=policy.trusted_networks"},
	{"not-trusted", requireAll + "trusted_networks = [\"127.0.0.1\", \"10.0.0.0/8\"]\n", confirmed, isAsked, "rule=totp:phone"},
	{"switched-off", requireAll + "protocols = [\"sudo\"]\n", confirmed, isIn, "verdict=not-asked rule=policy.protocols"},
	{"switched-on", "[policy]\nprotocols = [\"ssh\"]\n", confirmed, isAsked, "rule=totp:phone"},
	{"own-off", requireAll, onlySudo, isIn, "verdict=not-asked rule=user.protocols"},
	{"own-on", "[policy]\nprotocols = [\"sudo\"]\n", alsoSSH, isAsked, "rule=totp:phone"},
}

// configFor is the configuration for when p logs in.
func (r policyRow) configFor(p *machine.Person) string {
	return strings.ReplaceAll(r.config, "NAME", p.Name)
}

// run has p log in at a site that is configured for it.
func (r policyRow) run(t *testing.T, here machine.Site, sshd *hosts.SSHD, p *machine.Person) {
	t.Helper()
	if text := r.enrollment(p); text != "" {
		p.Write(t, here.Users, text)
	}
	switch d := sshd.Login(t, p, answers(p, p.Code(t, 0))); r.want {
	case isAsked:
		expectIn(t, p, d, 1)
		expectOut(t, p, loginRaw(t, sshd, p, "none"), 3)
	case isIn:
		expectIn(t, p, d, 0)
	case isOut:
		expectOut(t, p, d, 0)
	}
	expectDecided(t, here, p, r.audit)
}

// What the policy says about a login: whether it is asked, and whether it is
// let in if it is not. Verifiers start with the policy. On the clients of a fleet, whose
// sites take longer to start, one row comes after the other, and servers are configured
// again.
func TestSSHPolicy(t *testing.T) {
	t.Parallel()
	for _, row := range policyRows {
		for _, path := range machine.Paths {
			t.Run(string(path)+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				p := machine.NewPerson(t, "pia")
				here := path.NewSite(t, "policy-"+row.name, row.configFor(p))
				row.run(t, here, startSSHD(t, here), p)
			})
		}
	}
	const sites = 3
	for n := range sites {
		t.Run(fmt.Sprint(machine.Remote, n), func(t *testing.T) {
			t.Parallel()
			here := machine.Remote.NewSite(t, fmt.Sprint("policy-", n), "")
			sshd := startSSHD(t, here)
			for i := n; i < len(policyRows); i += sites {
				t.Run(policyRows[i].name, func(t *testing.T) {
					p := machine.NewPerson(t, "pia")
					here.Configure(t, policyRows[i].configFor(p))
					policyRows[i].run(t, here, sshd, p)
				})
			}
		})
	}
}

// Groups that are not in /etc/group count like those that are: the policy asks
// the system's name services.
func TestSSHGroupOfNameService(t *testing.T) {
	onBothPaths(t, "nss-group", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here)
		staff, robot := machine.NewPerson(t, "nss"), machine.NewPerson(t, "nss")
		group := "dir-" + staff.Name
		machine.ExtraGroup(t, group+"-staff", staff)
		machine.ExtraGroup(t, group+"-robots", robot)
		robot.Enroll(t, here.Users)
		here.Configure(t, "[policy]\nrequire = [\"@"+group+"-staff\"]\nexempt = [\"@"+group+"-robots\"]\n")
		expectOut(t, staff, sshd.Login(t, staff, answers(staff)), 0)
		expectAudit(t, staff, "verdict=denied", "rule=policy.unenrolled", "required by @"+group+"-staff")
		expectIn(t, robot, sshd.Login(t, robot, answers(robot)), 0)
		expectAudit(t, robot, "verdict=not-asked", "rule=policy.exempt")
	})
}

// Reconnecting, another server, the right code or time within the window give
// no new budget.
func TestSSHLock(t *testing.T) {
	const limits = "[policy]\nattempts = { per_login = 2, per_window = 4, window = \"1h\" }\n"
	onAllPaths(t, "lock", limits, func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here)
		p := machine.NewPerson(t, "lou").Enroll(t, here.Users)
		wrong := p.Wrong(t)
		expectOut(t, p, sshd.Login(t, p, answers(p, wrong, wrong)), 2)
		expectOut(t, p, sshd.Login(t, p, answers(p, wrong, wrong)), 2)
		here.AddToService(t, "sshd", here.Name+"-again", "protocol=ssh")
		again := hosts.StartSSHD(t, here.Name+"-again", hosts.WithCode...)
		for _, server := range []*hosts.SSHD{sshd, again} {
			d := server.Login(t, p, answers(p, p.Code(t, 0)))
			expectOut(t, p, d, 0)
			if !strings.Contains(d.Transcript, "Too many wrong codes") {
				t.Errorf("expected to be told of the lock:\n%s", d.Transcript)
			}
		}
		expectAudit(t, p, "verdict=denied", "rule=policy.attempts.per_window", "locked until")
	})
}

// CVE-2015-5600: a client that names the device many times has PAM run many
// times within one connection, which MaxAuthTries did not count.
func TestSSHManyDevices(t *testing.T) {
	onAllPaths(t, "devices", "[policy]\nattempts = { per_login = 3, per_window = 5, window = \"1h\" }\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here, "MaxAuthTries 100", "LoginGraceTime 60")
		p := machine.NewPerson(t, "dev").Enroll(t, here.Users)
		var guesses machine.Answers
		for range 50 {
			guesses.Passwords = append(guesses.Passwords, p.Password)
			guesses.Codes = append(guesses.Codes, p.Wrong(t))
		}
		devices := "pam" + strings.Repeat(",pam", 20)
		for _, budget := range []int{3, 2} {
			d := sshd.Login(t, p, guesses, "KbdInteractiveDevices="+devices, "NumberOfPasswordPrompts=6")
			expectOut(t, p, d, budget)
		}
		expectOut(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0))), 0)
	})
}
