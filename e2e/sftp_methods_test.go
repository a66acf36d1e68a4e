package e2e

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Whatever methods are tried in whatever order, and repeated: without a code
// nobody is in who needs one. See SFTPGo #2047 and Teleport #1550.
func TestSFTPMethodOrders(t *testing.T) {
	// The same addresses fail again and again here, and must be let try.
	onSFTPPaths(t, "sftp-orders", "", "", methodOrders)
}

func methodOrders(t *testing.T, s *hosts.SFTPD) {
	for _, order := range orders("publickey", "password", "keyboard-interactive") {
		for _, repeat := range []int{1, 3} {
			t.Run(strings.Join(order, ",")+strings.Repeat(" again", repeat-1), func(t *testing.T) {
				t.Parallel()
				for _, code := range []string{"", "password", "000000 ", "12345"} {
					p := machine.NewPerson(t, "sfo").Enroll(t, s.Site.Users)
					signer, _ := newKey(t, p)
					if code == "password" {
						code = p.Password
					}
					v := &sshClient{person: p, server: s, codes: []string{code}}
					if v.in(t, v.methods(order, signer, repeat)...) {
						t.Errorf("%s is in with %q for a code:\n%s", p.Name, code, v.told)
					}
				}
			})
		}
	}
	// And the table is about a server that lets the right ones in.
	for _, order := range [][]string{{"publickey", "keyboard-interactive"}, {"password", "keyboard-interactive"}, {"keyboard-interactive"}, {"password", "publickey", "keyboard-interactive"}} {
		t.Run("in by "+strings.Join(order, ","), func(t *testing.T) {
			t.Parallel()
			p := machine.NewPerson(t, "sfo").Enroll(t, s.Site.Users)
			signer, _ := newKey(t, p)
			v := &sshClient{person: p, server: s, codes: []string{p.Code(t, 0)}}
			if !v.in(t, v.methods(order, signer, 1)...) || v.asked != 1 {
				t.Errorf("expected %s in after one code, found %d prompts:\n%s", p.Name, v.asked, v.told)
			}
		})
	}
}

// patient is a server that lets an address fail again and again.
const patient = "limits.penalties = false\n"

// A client that knows the password method alone has the code behind the
// password, and so has one that gives all it has to every question. A wrong
// password does not use it up.
func TestSFTPCodeBehind(t *testing.T) {
	// The code of the step before must last into the next one.
	onSFTPPaths(t, "sftp-behind", "[totp]\nwindow = 3\n[policy.attempts]\nper_window = 100\n", patient, func(t *testing.T, s *hosts.SFTPD) {
		for name, method := range fieldMethods {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				codeBehind(t, s, method)
			})
		}
	})
}

// toEveryQuestion is a client that was given one field.
func toEveryQuestion(field string) ssh.AuthMethod {
	return ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range answers {
			answers[i] = field
		}
		return answers, nil
	})
}

// fieldMethods are those by which a client that knows one field gives it.
var fieldMethods = map[string]func(string) ssh.AuthMethod{"password": ssh.Password, "keyboard-interactive": toEveryQuestion}

func codeBehind(t *testing.T, s *hosts.SFTPD, method func(string) ssh.AuthMethod) {
	p := machine.NewPerson(t, "sfb").Enroll(t, s.Site.Users)
	code := p.Code(t, 0)
	for _, test := range []struct {
		field string
		want  bool
	}{
		{p.Password, false},
		{"wrong" + code, false},
		{p.Password + p.Wrong(t), false},
		{p.Password + code + "1", false},
		{p.Password + "\x00" + code, false},
		{code, false},
		{"", false},
		{strings.Repeat("x", 5000) + code, false},
		{p.Password + code, true},
		{p.Password + code, false},
	} {
		v := &sshClient{person: p, server: s}
		if in := v.in(t, method(test.field)); in != test.want {
			t.Errorf("password and %q: expected in %v, found %v: %s\n%s", strings.TrimPrefix(test.field, p.Password), test.want, in, v.told, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	// A password that itself ends like a code.
	p = machine.WithoutUser("sfb")
	p.Password += "123456"
	p.Add(t)
	p.Enroll(t, s.Site.Users)
	for i, methods := range [][]string{{"password", "keyboard-interactive"}, {"keyboard-interactive"}} {
		v := &sshClient{person: p, server: s, codes: []string{p.Code(t, i-1)}}
		if !v.in(t, v.methods(methods, nil, 1)...) {
			t.Errorf("%s, a password that ends like a code: %s", methods, v.told)
		}
	}
	v := &sshClient{person: p, server: s}
	if !v.in(t, method(p.Password+p.Code(t, 1))) {
		t.Errorf("that and a code: %s", v.told)
	}
}

// twoKeys offers one key and signs for another.
type twoKeys struct {
	offered, signing ssh.Signer
	marshals         int
	after            int
}

func (k *twoKeys) PublicKey() ssh.PublicKey { return k }
func (k *twoKeys) Type() string             { return k.offered.PublicKey().Type() }
func (k *twoKeys) Verify(data []byte, sig *ssh.Signature) error {
	return k.signing.PublicKey().Verify(data, sig)
}
func (k *twoKeys) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return k.signing.Sign(random, data)
}
func (k *twoKeys) Marshal() []byte {
	if k.marshals++; k.marshals <= k.after {
		return k.offered.PublicKey().Marshal()
	}
	return k.signing.PublicKey().Marshal()
}

func ed25519Key(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Nothing is remembered of a key that was offered: the one that signs counts
// (CVE-2024-45337).
func TestSFTPOfferedKey(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-offered", "[policy]\nexempt = [\"@all\"]\n", patient)
	p := machine.NewPerson(t, "sff")
	good, _ := newKey(t, p)
	stranger := ed25519Key(t)
	try := func(signer ssh.Signer) (bool, string) {
		v := &sshClient{person: p, server: s}
		in := v.in(t, ssh.PublicKeys(signer))
		return in, v.told
	}
	for after := range 6 {
		if in, told := try(&twoKeys{offered: good, signing: stranger, after: after}); in {
			t.Errorf("%d: in by a key that is not the person's: %s", after, told)
		}
	}
	if in, told := try(stranger); in {
		t.Errorf("in by a stranger's key: %s", told)
	}
	if in, told := try(good); !in {
		t.Errorf("expected in by the person's key: %s\n%s", told, s.Output())
	}
	// Of two people, the key of the other one.
	other := machine.NewPerson(t, "sff")
	theirs, _ := newKey(t, other)
	if in, told := try(theirs); in {
		t.Errorf("in by %s's key: %s", other.Name, told)
	}
}

// authorize writes a person's authorized_keys.
func authorize(t *testing.T, p *machine.Person, lines string) string {
	t.Helper()
	dir := "/home/" + p.Name + "/.ssh"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/authorized_keys", []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("chown", "-R", p.Name, dir).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, output)
	}
	return dir + "/authorized_keys"
}

// Kinds of keys: of ed25519 the broker checks the signature itself; of the
// others only the front sees it, so a code has to follow.
func TestSFTPKindsOfKeys(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaSigner, err := ssh.NewSignerFromKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaSigner, err := ssh.NewSignerFromKey(ecdsaKey)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]ssh.Signer{"ed25519": ed25519Key(t), "rsa": rsaSigner, "ecdsa": ecdsaSigner}
	for _, setting := range []string{"with-code", "allow", "refuse"} {
		t.Run(setting, func(t *testing.T) {
			onSFTPPaths(t, "sftp-kinds-"+setting, remembered, "unproven_keys = \""+setting+"\"\n", func(t *testing.T, s *hosts.SFTPD) {
				for kind, signer := range kinds {
					t.Run(kind, func(t *testing.T) { kindOfKey(t, s, setting, kind, signer) })
				}
			})
		})
	}
}

func kindOfKey(t *testing.T, s *hosts.SFTPD, setting, kind string, signer ssh.Signer) {
	free := machine.NewPerson(t, "sfk")
	asked := machine.NewPerson(t, "sfk").Enroll(t, s.Site.Users)
	for _, p := range []*machine.Person{free, asked} {
		authorize(t, p, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	}
	v := &sshClient{person: free, server: s}
	if in, want := v.in(t, ssh.PublicKeys(signer)), kind == "ed25519" || setting == "allow"; in != want {
		t.Errorf("without a code: expected in %v, found %v: %s\n%s", want, in, v.told, machine.Text(machine.Log.Lines("user="+free.Name+" ")))
	}
	// The second time the code is remembered.
	for _, codes := range [][]string{{asked.Code(t, 0)}, nil} {
		v = &sshClient{person: asked, server: s, codes: codes, keyOnly: true}
		if in, want := v.in(t, ssh.PublicKeys(signer), ssh.KeyboardInteractive(v.challenge)), kind == "ed25519" || setting != "refuse"; in != want || v.asked > len(codes) {
			t.Errorf("with %d codes: expected in %v, found %v: %s", len(codes), want, in, v.told)
		}
	}
}

// authorized_keys as sshd reads it.
func TestSFTPAuthorizedKeys(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-authorized", "[policy]\nexempt = [\"@all\"]\n", patient)
	p := machine.NewPerson(t, "sfa")
	signer := ed25519Key(t)
	line := string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	expect := func(what string, want bool) {
		t.Helper()
		v := &sshClient{person: p, server: s}
		if in := v.in(t, ssh.PublicKeys(signer)); in != want {
			t.Errorf("%s: expected in %v, found %v: %s", what, want, in, v.told)
		}
	}
	expect("no file", false)
	for options, want := range map[string]bool{
		"": true, "restrict ": true, "from=\"" + p.Address + "\" ": true, "from=\"192.0.2.1\" ": false, "expiry-time=\"20200101\" ": false,
		"expiry-time=\"29991231\" ": true, "no-such-option ": false, "command=\"/bin/true\" ": false,
	} {
		authorize(t, p, options+line)
		expect("options "+options, want)
	}
	path := authorize(t, p, line)
	for _, spoil := range [][]string{{"chmod", "o+w", path}, {"chmod", "g+w", "/home/" + p.Name}, {"chown", "daemon", path}} {
		if output, err := exec.Command(spoil[0], spoil[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", spoil, err, output)
		}
		expect(strings.Join(spoil, " "), false)
		authorize(t, p, line)
		for _, mend := range [][]string{{"chmod", "go-w", path}, {"chmod", "g-w", "/home/" + p.Name}} {
			if output, err := exec.Command(mend[0], mend[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%q: %v: %s", mend, err, output)
			}
		}
	}
	expect("mended", true)
}
