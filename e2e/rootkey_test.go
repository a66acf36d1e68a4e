package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

var rootPassword = sync.OnceValue(func() string { return machine.WithoutUser("root").Password })

// givePassword gives root the one password that all tests know.
func givePassword(t *testing.T) string {
	t.Helper()
	machine.Account(t, "root:"+rootPassword()+"\n", "chpasswd")
	return rootPassword()
}

// By OpenSSH's default root gets in by a key alone or not at all, whatever code
// root has, and the doctor says so; by PermitRootLogin yes root is asked for both.
func TestRootByKey(t *testing.T) {
	t.Parallel()
	both := "AuthenticationMethods publickey,keyboard-interactive:pam"
	for name, test := range map[string]struct {
		lines []string
		in    bool
		codes int
		said  string
		// status is the doctor's.
		status int
	}{
		"alone":  {[]string{"AuthenticationMethods publickey keyboard-interactive:pam"}, true, 0, "sshd lets root in by a key", 3},
		"denied": {[]string{both}, false, 0, "Root does not get in by ssh", 0},
		"asked":  {[]string{both, "PermitRootLogin yes"}, true, 1, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, "root-"+name, "")
			here.AddToService(t, "sshd", here.Name, "protocol=ssh")
			root := machine.WithoutUser("root")
			root.Name, root.Password = "root", givePassword(t)
			root.Enroll(t, here.Users)
			key := filepath.Join(t.TempDir(), "key")
			keygen(t, "-t", "ed25519", "-N", "", "-f", key)
			public, err := os.ReadFile(key + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			keys := filepath.Join(machine.Root, here.Name+".keys")
			if err := os.WriteFile(keys, public, 0o600); err != nil {
				t.Fatal(err)
			}
			lines := append(test.lines, "PasswordAuthentication no", "KbdInteractiveAuthentication yes", "StrictModes no", "AuthorizedKeysFile "+keys)
			sshd := hosts.StartSSHD(t, here.Name, lines...)
			d := sshd.Login(t, root, answers(root, root.Code(t, 0)), "IdentityFile="+key)
			if d.In(root) != test.in || d.Codes != test.codes {
				t.Errorf("in: %v after %d codes, expected %v after %d\n%s", d.In(root), d.Codes, test.in, test.codes, d.Transcript)
			}
			args := []string{"--config=" + here.Config, "doctor", "--service=" + here.Name, "--ignore=clock-unsynchronised", "--ignore=state-volatile"}
			said := otpctl(t, test.status, args...)
			if found := strings.Contains(said, "id:       sshd-root-not-asked"); found != (test.said != "") || !strings.Contains(said, test.said) {
				t.Errorf("expected %q, found\n%s", test.said, said)
			}
		})
	}
}
