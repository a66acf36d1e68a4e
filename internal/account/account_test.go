package account

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
)

// byHand is the example of the documentation, as an admin would type it.
const byHand = `# phone bought in May
# ask Bob
version = 1
user = "alice"
enabled = true
protocols = ["ssh", "sftp"]           # optional; overrides the policy for alice
email = "alice@example.com"
phone = "+491511234567"

[[factor]]
id = "phone"
kind = "totp"
secret = "JBSWY3DPEHPK3PXP"
digits = 6
period = 30
algorithm = "SHA1"
confirmed = 2026-11-22T10:00:00Z

[recovery]
hashes = ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
`

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	os.Remove(path)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openDir(t *testing.T) (*Dir, string) {
	t.Helper()
	path := t.TempDir()
	dir, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir, path
}

// What a file may name is built in, or declared where the directory was opened.
func TestOwnProtocols(t *testing.T) {
	plain, path := openDir(t)
	dir, err := Open(path, "vpn")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	err = dir.Change("alice", func(p *Person) error {
		p.Protocols = []config.Protocol{"ssh", "vpn"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	person, err := dir.Load("alice")
	if err != nil || !slices.Equal(person.Protocols, []config.Protocol{"ssh", "vpn"}) {
		t.Errorf("%v, %v", person.Protocols, err)
	}
	if _, err := (Place{Path: path, Own: []config.Protocol{"vpn"}}).Reload(person); err != nil {
		t.Error(err)
	}
	const want = "alice.toml:5: protocols: expected a protocol, one of ssh"
	if _, err := plain.Load("alice"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("not declared: %v", err)
	}
	if _, err := plain.Text("alice"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("text of one that is not declared: %v", err)
	}
	err = plain.Change("bob", func(p *Person) error {
		p.Protocols = []config.Protocol{"vpn"}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "not written") {
		t.Errorf("writing one that is not declared: %v", err)
	}
}

func TestLoadWrittenByHand(t *testing.T) {
	dir, path := openDir(t)
	write(t, path, "alice.toml", byHand)
	person, err := dir.Load("alice")
	if err != nil {
		t.Fatal(err)
	}
	if !person.Enrolled() || len(person.Protocols) != 2 || person.Email != "alice@example.com" || person.Phone != "+491511234567" {
		t.Errorf("%+v", person)
	}
	factor := person.Confirmed()[0]
	if factor.Secret.Base32() != "JBSWY3DPEHPK3PXP" || factor.Digits != 6 || factor.Period != 30 || factor.Algorithm != "SHA1" {
		t.Errorf("%+v", factor)
	}
	if !factor.Confirmed.Equal(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("confirmed %v", factor.Confirmed)
	}
}

func TestLoadDefaults(t *testing.T) {
	dir, path := openDir(t)
	write(t, path, "bob.toml", "version = 1\nuser = 'bob'\n[[factor]]\nid = 'app'\nkind = 'totp'\nsecret = 'jbsw y3dp ehpk 3pxp'\n")
	person, err := dir.Load("bob")
	if err != nil {
		t.Fatal(err)
	}
	factor := person.Factors[0]
	if !person.Enabled || person.Enrolled() || factor.Digits != 6 || factor.Period != 30 || factor.Algorithm != "SHA1" {
		t.Errorf("%+v", person)
	}
}

// withKind is alice's file with one factor that has nothing but a kind.
func withKind(kind, contact string) string {
	return "version = 1\nuser = 'alice'\n" + contact + "\n[[factor]]\nkind = '" + kind + "'\nid = 'x'\n"
}

// Every kind is read, and written so that it is read again.
func TestKindsGoThrough(t *testing.T) {
	dir, path := openDir(t)
	const contact = "email = 'alice@example.com'\nphone = '+491511234567'"
	for kind, text := range map[Kind]string{
		TOTP: withKind("totp", contact) + "secret = 'JBSWY3DPEHPK3PXP'\n", HOTP: withKind("hotp", contact) + "secret = 'JBSWY3DPEHPK3PXP'\ncounter = 7\n",
		Email: withKind("email", contact), SMS: withKind("sms", contact),
	} {
		write(t, path, "alice.toml", text)
		before, err := dir.Load("alice")
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if err := dir.Change("alice", func(*Person) error { return nil }); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		after, err := dir.Load("alice")
		if f := after.Factors[0]; err != nil || f.Kind != kind || !reflect.DeepEqual(f, before.Factors[0]) {
			t.Errorf("%s: before %+v, after %+v, %v", kind, before.Factors[0], f, err)
		}
		if counter := after.Factors[0].Counter; (kind == HOTP) != (counter == 7) {
			t.Errorf("%s: counter %d", kind, counter)
		}
	}
}

func TestContact(t *testing.T) {
	for address, good := range map[string]bool{
		"alice@example.com": true, "a.b+c@x.example.com": true, "root@localhost": true, "": false, "alice": false, "@x": false, "a@": false, "a@b@c": false,
		"a b@c": false, "a@b,c@d": false, "<a@b>": false, "a@b\nBcc: c@d": false, "-f@b": false, "\"a\"@b": false, "é@b": false, strings.Repeat("a", 250) + "@b.de": false,
	} {
		if (CheckEmail(address) == nil) != good {
			t.Errorf("%q: %v", address, CheckEmail(address))
		}
	}
	for number, good := range map[string]bool{
		"+491511234567": true, "015112345": true, "": false, "+": false, "+4915x": false, "1234": false, "+49 151": false, "+1234567890123456": false, "++4915112": false,
	} {
		if (CheckPhone(number) == nil) != good {
			t.Errorf("%q: %v", number, CheckPhone(number))
		}
		if (CheckNewPhone(number) == nil) != (good && number != "015112345") {
			t.Errorf("new: %q: %v", number, CheckNewPhone(number))
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"alice", "Bob.Smith", `CORP\alice`, "alice@corp.example", "müller", "a b", "web$", "x_1"} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "/etc/passwd", "../alice", "a..b", ".hidden", "-rf", "@group", "~root", " a", "a ", "a\nb", "a\x00b", "a\x1b[2J", "a\u202eb", "\xff", strings.Repeat("a", 201)} {
		if err := CheckName(name); err == nil {
			t.Errorf("%q was accepted", name)
		} else if strings.ContainsAny(err.Error(), "\n\x00\x1b\u202e") {
			t.Errorf("%q: control characters in %q", name, err)
		}
		dir, _ := openDir(t)
		if _, err := dir.Load(name); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("Load(%q): %v", name, err)
		}
	}
}

func TestChangeKeepsWhatIsThere(t *testing.T) {
	dir, path := openDir(t)
	file := write(t, path, "alice.toml", byHand)
	if err := dir.Change("alice", func(p *Person) error { p.Enabled = false; return nil }); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(file)
	text := string(data)
	for _, want := range []string{"# phone bought in May\n# ask Bob\n", "enabled = false", "secret = 'JBSWY3DPEHPK3PXP'", "confirmed = 2026-11-22T10:00:00Z", "protocols = ['ssh', 'sftp']"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if info, _ := os.Stat(file); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	refused := errors.New("refused")
	if err := dir.Change("alice", func(p *Person) error { p.Enabled = true; return refused }); err != refused {
		t.Errorf("%v", err)
	}
	if err := dir.Change("alice", func(p *Person) error { p.Factors[0].Digits = 5; return nil }); err == nil {
		t.Error("a file that could not be read back was written")
	}
	if again, _ := os.ReadFile(file); string(again) != text {
		t.Error("a refused change was written")
	}
	if entries, _ := os.ReadDir(path); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestRemove(t *testing.T) {
	dir, path := openDir(t)
	write(t, path, "alice.toml", byHand)
	if err := dir.Remove("alice"); err != nil {
		t.Fatal(err)
	}
	if err := dir.Remove("alice"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	person, err := Parse("alice.toml", "alice", []byte(byHand))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, person); strings.Contains(text, "JBSW") || strings.Contains(text, "Hello!") || strings.Contains(text, "72, 101") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(byHand))
	f.Fuzz(func(t *testing.T, data []byte) {
		person, err := Parse("alice.toml", "alice", data)
		if err != nil {
			return
		}
		if problem, _ := person.check("alice", "alice"); problem != "" {
			t.Error(problem)
		}
	})
}

// Hashes of codes that were brought along have their own mark; any other is none.
func TestRecoveryHashes(t *testing.T) {
	digits := strings.Repeat("0a", 32)
	for hash, good := range map[string]bool{
		digits: true, ScratchPrefix + digits: true, ScratchPrefix + ScratchPrefix + digits: false, "other:" + digits: false,
		ScratchPrefix: false, ScratchPrefix + strings.ToUpper(digits): false, ScratchPrefix + digits[2:]: false, ScratchPrefix + "12345678": false,
		digits[1:] + "g": false, digits[1:] + "`": false, digits[1:] + "/": false, digits[1:] + ":": false, digits + "00": false, "": false,
	} {
		_, err := Parse("/users/alice.toml", "alice", []byte("version = 1\nuser = \"alice\"\n[recovery]\nhashes = [\""+hash+"\"]\n"))
		if (err == nil) != good {
			t.Errorf("%q: %v", hash, err)
		}
	}
}
