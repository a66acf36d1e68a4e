package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Where ProFTPD's mod_sftp takes a key alone the doctor says so, and where it asks for
// more the doctor is silent: each on the real server.
func TestProFTPDKeyAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		methods string
		alone   bool
	}{
		"all":       {"", true},
		"either":    {"SFTPAuthMethods publickey password\n", true},
		"both":      {"SFTPAuthMethods publickey+keyboard-interactive\n", false},
		"asks only": {"SFTPAuthMethods keyboard-interactive\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, "proftpd-keys-"+strings.ReplaceAll(name, " ", "-"), "")
			here.AroundPassword(t, here.Name, debianPassword, "protocol=ftp")
			p := machine.NewPerson(t, "key").Enroll(t, here.Users)
			key := filepath.Join(t.TempDir(), "key")
			keygen(t, "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", key)
			written, err := exec.Command("ssh-keygen", "-e", "-f", key+".pub").Output() // mod_sftp reads no other form
			if err != nil {
				t.Fatal(err)
			}
			keys := filepath.Join(t.TempDir(), "keys")
			write(t, keys, string(written))
			directives := "AuthOrder mod_auth_pam.c* mod_auth_unix.c\nSFTPAuthorizedUserKeys file:" + keys + "\n" + test.methods
			if in := hosts.StartProFTPDForKeys(t, here.Name, directives, key).In(t, p, ""); in != test.alone {
				t.Errorf("the key alone: in: %v, expected %v", in, test.alone)
			}
			said := found(t, here.Name, "etc/proftpd/proftpd.conf", "SFTPEngine on\n"+directives+"AuthPAMConfig "+here.Name+"\n", "proftpd-key-alone")
			if found := said != ""; found != test.alone {
				t.Errorf("expected a finding: %v, found %q", test.alone, said)
			}
		})
	}
}
