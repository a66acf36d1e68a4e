package e2e

import (
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// took is how long a password was refused for, by one method.
func took(t *testing.T, s *hosts.SFTPD, p *machine.Person, method func(string) ssh.AuthMethod, password string) time.Duration {
	t.Helper()
	v := &sshClient{person: p, server: s}
	begin := time.Now()
	if v.in(t, method(password)) {
		t.Errorf("%s is in", p.Name)
	}
	return time.Since(begin)
}

// PAM's delay follows root's right password as it follows a wrong one.
func TestSFTPRootsPasswordIsNotTold(t *testing.T) {
	onSFTPPaths(t, "sftp-roots", "", patient, rootsPassword)
}

func rootsPassword(t *testing.T, s *hosts.SFTPD) {
	for name, method := range fieldMethods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := machine.NewPerson(t, "sfr")
			p.ShareUID(t, 0)
			// pam_unix asks for 2 seconds, and libpam takes up to a quarter off.
			for what, password := range map[string]string{"wrong": "not " + p.Password, "right": p.Password} {
				if d := took(t, s, p, method, password); d < time.Second {
					t.Errorf("the %s password is refused after %s", what, d)
				}
			}
		})
	}
}

// A password that ends like a code is tried as a whole too, of those who are
// enrolled; of others its refusal takes as long.
func TestSFTPEnrollmentIsNotTold(t *testing.T) {
	onSFTPPaths(t, "sftp-told", "", patient, tellsEnrollment)
}

func tellsEnrollment(t *testing.T, s *hosts.SFTPD) {
	for name, method := range fieldMethods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enrolled := machine.NewPerson(t, "sft").Enroll(t, s.Site.Users)
			for _, p := range []*machine.Person{machine.NewPerson(t, "sft"), enrolled} {
				// Twice 2 seconds, less up to a quarter.
				if d := took(t, s, p, method, "wrong123456"); d < 2900*time.Millisecond {
					t.Errorf("%s is refused after %s", p.Name, d)
				}
			}
		})
	}
}
