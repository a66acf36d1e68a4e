package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// newKey makes a key that lets p in as a first factor.
func newKey(t *testing.T, p *machine.Person) (signer ssh.Signer, path string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err = ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	home := "/home/" + p.Name + "/.ssh"
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(home+"/authorized_keys", ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("chown", "-R", p.Name, home).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, output)
	}
	return signer, path
}

// keyAndCode is a stack for people who have shown their key already.
func keyAndCode(t *testing.T, here machine.Site, service string) {
	t.Helper()
	here.AddToService(t, "sshd", service, "protocol=ssh")
	stack, err := os.ReadFile("/etc/pam.d/" + service)
	if err != nil {
		t.Fatal(err)
	}
	machine.WriteService(t, service, strings.Replace(string(stack), "@include common-auth\n", "", 1))
}

// With a stack that asks for the code alone, sshd wants the key and the code, and no
// password.
func TestSSHKeyAndCode(t *testing.T) {
	onAllPaths(t, "key", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		keyAndCode(t, here, here.Name)
		sshd := hosts.StartSSHD(t, here.Name, "KbdInteractiveAuthentication yes", "PasswordAuthentication no",
			"AuthenticationMethods publickey,keyboard-interactive:pam")
		p := machine.NewPerson(t, "kim").Enroll(t, here.Users)
		_, path := newKey(t, p)
		code := p.Code(t, 0)
		expectOut(t, p, sshd.Login(t, p, answers(p, code)), 0) // no key
		wrong := p.Wrong(t)
		expectOut(t, p, sshd.Login(t, p, answers(p, wrong, wrong, wrong), "IdentityFile="+path), 3)
		d := sshd.Login(t, p, answers(p, code), "IdentityFile="+path)
		expectIn(t, p, d, 1)
		if d.Passwords != 0 {
			t.Errorf("expected no prompt for a password:\n%s", d.Transcript)
		}
		expectOut(t, p, sshd.Login(t, p, answers(p, code, code, code), "IdentityFile="+path), 3)
	})
}

// The password method asks nothing: sshd answers every prompt with the
// password. That costs no attempt, and the log says what to set.
func TestSSHPasswordMethod(t *testing.T) {
	onAllPaths(t, "password", "[policy]\nattempts = { per_window = 2 }\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.AddToService(t, "sshd", here.Name, "protocol=ssh")
		sshd := hosts.StartSSHD(t, here.Name, "PasswordAuthentication yes", "KbdInteractiveAuthentication no")
		both := hosts.StartSSHD(t, here.Name, "PasswordAuthentication yes", "KbdInteractiveAuthentication yes")
		p := machine.NewPerson(t, "pat").Enroll(t, here.Users)
		for range 3 { // more often than the limit
			d := sshd.Login(t, p, answers(p), "NumberOfPasswordPrompts=3")
			expectOut(t, p, d, 0)
			if d.Passwords != 1 {
				t.Errorf("expected that asking again is of no use, found %d prompts for a password:\n%s", d.Passwords, d.Transcript)
			}
		}
		expectAudit(t, p, "verdict=denied", "rule=password-repeated", "KbdInteractiveAuthentication yes")
		expectIn(t, p, both.Login(t, p, answers(p, p.Code(t, 0)), "PreferredAuthentications=keyboard-interactive"), 1)
	})
}

// Whatever methods are tried in whatever order, and repeated: without a code
// nobody is in who needs one. See SFTPGo #2047 and Teleport #1550.
func TestSSHMethodOrders(t *testing.T) {
	onAllPaths(t, "orders", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.AddToService(t, "sshd", here.Name, "protocol=ssh")
		withKey := here.Name + "-key"
		keyAndCode(t, here, withKey)
		everything := []string{"PubkeyAuthentication yes", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes", "MaxAuthTries 20"}
		with := func(service string, lines ...string) *hosts.SSHD {
			return hosts.StartSSHD(t, service, append(lines, everything...)...)
		}
		for name, server := range map[string]struct {
			sshd *hosts.SSHD
			good []string // methods that, with a code, let in
		}{
			"keyboard-interactive": {with(here.Name, "AuthenticationMethods keyboard-interactive:pam"), []string{"keyboard-interactive"}},
			"key and code":         {with(withKey, "AuthenticationMethods publickey,keyboard-interactive:pam"), []string{"publickey", "keyboard-interactive"}},
			"key and password":     {with(here.Name, "AuthenticationMethods publickey,password publickey,keyboard-interactive:pam"), []string{"publickey", "keyboard-interactive"}},
			"as shipped, no keys":  {with(here.Name, "PubkeyAuthentication no"), []string{"keyboard-interactive"}},
		} {
			p := machine.NewPerson(t, "ord").Enroll(t, here.Users)
			signer, _ := newKey(t, p)
			login := func(t *testing.T, order []string, repeat int, codes ...string) machine.Dialogue {
				c := &client{person: p, codes: codes}
				return c.login(t, server.sshd, methods(order, signer, c.person.Password, c.challenge, repeat)...)
			}
			t.Run(name, func(t *testing.T) {
				for _, order := range orders("publickey", "password", "keyboard-interactive") {
					for _, repeat := range []int{1, 3} {
						t.Run(strings.Join(order, ",")+strings.Repeat(" again", repeat-1), func(t *testing.T) {
							t.Parallel()
							for _, code := range []string{"", p.Password} {
								if d := login(t, order, repeat, code); d.In(p) || d.Status == 0 {
									t.Errorf("%s is in with %q for a code:\n%s", p.Name, code, d.Transcript)
								}
							}
						})
					}
				}
			})
			// And the table is about servers that let the right ones in.
			expectIn(t, p, login(t, server.good, 1, p.Code(t, 0)), 1)
		}
	})
}

// methods are a client's, in that order. The method none is always tried
// first.
func methods(order []string, signer ssh.Signer, password string, challenge ssh.KeyboardInteractiveChallenge, repeat int) []ssh.AuthMethod {
	var methods []ssh.AuthMethod
	for _, name := range order {
		switch name {
		case "publickey":
			methods = append(methods, ssh.PublicKeys(signer))
		case "password":
			methods = append(methods, ssh.RetryableAuthMethod(ssh.Password(password), repeat))
		case "keyboard-interactive":
			methods = append(methods, ssh.RetryableAuthMethod(ssh.KeyboardInteractive(challenge), repeat))
		}
	}
	return methods
}

// orders lists every order of every choice of the names, the empty one too.
func orders(names ...string) [][]string {
	all := [][]string{nil}
	for i, name := range names {
		rest := slices.Delete(slices.Clone(names), i, i+1)
		for _, order := range orders(rest...) {
			all = append(all, append([]string{name}, order...))
		}
	}
	return all
}
