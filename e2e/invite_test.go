package e2e

import (
	"regexp"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

const mustBeInvited = "[policy]\nrequire = [\"@all\"]\nunenrolled = \"invite\"\n[portal]\nurl = 'https://otp.example.com'\n"

// expectInvited expects one letter with a link, whatever the logins.
func expectInvited(t *testing.T, p *machine.Person) {
	t.Helper()
	found := regexp.MustCompile(`(?m)^https://otp\.example\.com/l/([a-z2-7]{32})\r?$`).FindStringSubmatch(p.Letter(t))
	if found == nil {
		t.Fatalf("expected a link, found\n%s", p.Letter(t))
	}
	machine.Keep(found[1])
	if lines := machine.Log.Lines("otpgate", "user="+p.Name+" ", "verdict=invited", "rule=totp:phone", "by=link"); len(lines) != 1 {
		t.Errorf("invited %d times: %v", len(lines), lines)
	}
}

// Somebody who must enroll is mailed a link at the login, once, and is told so; the login
// ends. Whoever decides sends it: a core that was forked, the verifier, a client's server.
func TestInvitedAtLogin(t *testing.T) {
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	onAllPaths(t, "invite-login", mustBeInvited+emailTable(t, server), func(t *testing.T, here machine.Site) {
		sshd := startSSHD(t, here)
		p := addressed(t, machine.NewPerson(t, "inv"), here)
		for _, told := range []string{"A link to set it up was mailed to ", "another one can be mailed after"} {
			screen := machine.Show(t, 200, 40, sshd.Client(p))
			screen.Await("assword:")
			screen.Type(p.Password)
			screen.Await(told)
			screen.Await("@" + machine.MailDomain) // ssh writes the sign before it as it likes
		}
		expectAudit(t, p, "verdict=denied", "rule=policy.unenrolled")
		expectInvited(t, p)
	})
}

// The SFTP server sends it too, by itself or as a client.
func TestInvitedAtSFTPLogin(t *testing.T) {
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	onSFTPPaths(t, "sftp-invite", mustBeInvited+emailTable(t, server), patient, func(t *testing.T, s *hosts.SFTPD) {
		p := addressed(t, machine.NewPerson(t, "inv"), s.Site)
		screen := machine.Show(t, 200, 40, s.Batch(t, p, nil, "put /etc/hostname arrived"))
		screen.Await("assword:")
		screen.Type(p.Password)
		screen.Await("A link to set it up was mailed to ")
		expectAudit(t, p, "verdict=denied", "rule=policy.unenrolled")
		expectInvited(t, p)
	})
}
