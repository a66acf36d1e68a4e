package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// startSFTPD starts a server at a site of its own.
func startSFTPD(t *testing.T, name, text, table string) *hosts.SFTPD {
	t.Helper()
	return hosts.StartSFTPD(t, machine.NewSite(t, name, text), text, table)
}

// sftpPaths make sites of which the SFTP server decides logins itself, and on which it
// is a client of another machine that does.
func sftpPaths(name, text string) map[string]func(t *testing.T) machine.Site {
	return map[string]func(t *testing.T) machine.Site{
		"here":                 func(t *testing.T) machine.Site { return machine.NewSite(t, name, text) },
		string(machine.Remote): func(t *testing.T) machine.Site { return machine.Remote.NewSite(t, name, text) },
	}
}

// onSFTPPaths runs test for a server at each of them.
func onSFTPPaths(t *testing.T, name, text, table string, test func(t *testing.T, s *hosts.SFTPD)) {
	t.Helper()
	t.Parallel()
	for where, site := range sftpPaths(name, text) {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			test(t, hosts.StartSFTPD(t, site(t), text, table))
		})
	}
}

// OpenSSH's sftp by keyboard-interactive: the password by PAM, the code by the
// engine, files as the person.
func TestSFTPPasswordAndCode(t *testing.T) {
	onSFTPPaths(t, "sftp-password", "", "", passwordAndCode)
}

func passwordAndCode(t *testing.T, s *hosts.SFTPD) {
	p := machine.NewPerson(t, "sfp").Enroll(t, s.Site.Users)
	wrong := p.Wrong(t)
	expectOut(t, p, s.Login(t, p, machine.Answers{Passwords: []string{"not the password"}}, nil), 0)
	expectOut(t, p, s.Login(t, p, answers(p, wrong, wrong, wrong), nil), 3)
	code := p.Code(t, 0)
	d := s.Login(t, p, answers(p, code), nil, "pwd", "put /etc/hostname here", "ls -la", "get here /run/otpgate-machine/tmp/back")
	expectIn(t, p, d, 1)
	if !strings.Contains(d.Transcript, "/home/"+p.Name) || d.Status != 0 {
		t.Errorf("status %d\n%s\n%s", d.Status, d.Transcript, s.Output())
	}
	info, err := os.Stat("/home/" + p.Name + "/here")
	if err != nil {
		t.Fatal(err)
	}
	expectOwner(t, info, p.UID, p.GID)
	expectOut(t, p, s.Login(t, p, answers(p, code, code, code), nil), 3)
	expectAudit(t, p, "service="+s.Service(), "protocol=sftp", "remote="+p.Address, "verdict=accepted", "rule=totp:phone")
	machine.Log.Expect(t, "user="+p.Name+" ", "op=transfer", "path=/home/"+p.Name+"/here", "written=", "result=ok")
}
