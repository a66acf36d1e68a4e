package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/keyring"
)

// safe is a directory that secrets and keys may be in.
func safe(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newKey makes a key and returns its file and name.
func newKey(t testing.TB) (path, name string) {
	t.Helper()
	path = filepath.Join(safe(t), "key")
	name, data := keyring.NewFile()
	if err := os.WriteFile(path, data, 0o400); err != nil {
		t.Fatal(err)
	}
	return path, name
}

// at is a place for the secret files in dir with these keys.
func at(dir string, keys ...string) Place {
	return Place{Path: dir, Keys: keyring.New(keys...)}
}

func opened(t testing.TB, p Place) *Dir {
	t.Helper()
	dir, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

var sinceNoon = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func phoneOf(user, id string) Factor {
	return Factor{ID: id, Kind: TOTP, Secret: Secret("secret of " + user + ", " + id + ", 20 b"), Digits: 6, Period: 30, Algorithm: "SHA1", Confirmed: sinceNoon}
}

// enroll writes a person with these factors.
func enroll(t testing.TB, dir *Dir, user string, factors ...Factor) {
	t.Helper()
	err := dir.Change(user, func(p *Person) error {
		p.Factors, p.Email = factors, user+"@example.com"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func textOf(t testing.TB, dir *Dir, user string) string {
	t.Helper()
	text, err := os.ReadFile(dir.Path(user))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rewrite(t testing.TB, dir *Dir, user, text string) {
	t.Helper()
	if err := os.WriteFile(dir.Path(user), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secretLine returns the value of the first secret in a file.
func secretLine(t testing.TB, text string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\nsecret = '")
	value, _, ended := strings.Cut(rest, "'\n")
	if !found || !ended {
		t.Fatalf("no secret in %s", text)
	}
	return value
}

// damaged is an encrypted value in which one character is another one.
func damaged(value string) string {
	at, other := len(value)-9, "x"
	if value[at:at+1] == other {
		other = "y"
	}
	return value[:at] + other + value[at+1:]
}

func TestWritesEncrypted(t *testing.T) {
	key, name := newKey(t)
	dir := opened(t, at(safe(t), key))
	want := phoneOf("alice", "phone")
	enroll(t, dir, "alice", want, Factor{ID: "mail", Kind: Email, Confirmed: sinceNoon})
	text := textOf(t, dir, "alice")
	if strings.Contains(text, want.Secret.Base32()) || keyring.KeyOf(secretLine(t, text)) != name {
		t.Errorf("not encrypted:\n%s", text)
	}
	person, err := dir.Load("alice")
	if err != nil || string(person.Factors[0].Secret) != string(want.Secret) || person.Unreadable() != nil || !person.Factors[0].IsEncrypted() {
		t.Errorf("%v, %+v", err, person)
	}
	if _, taken := quick([]byte(text)); !taken {
		t.Errorf("the fast reader gives up\n%s", text)
	}
}

// Without the key a person is there, and everything but codes goes on.
func TestWithoutTheKey(t *testing.T) {
	key, name := newKey(t)
	users := safe(t)
	with := opened(t, at(users, key))
	enroll(t, with, "alice", phoneOf("alice", "phone"), phoneOf("alice", "spare"))
	before := textOf(t, with, "alice")
	other, _ := newKey(t)
	for what, keys := range map[string][]string{"missing": {key + "-gone"}, "wrong": {other}, "not named": nil} {
		t.Run(what, func(t *testing.T) {
			without := opened(t, at(users, keys...))
			person, err := without.Load("alice")
			if err != nil || !person.Enrolled() || len(person.Confirmed()) != 2 {
				t.Fatalf("%v, %+v", err, person)
			}
			err = person.Factors[1].Unreadable()
			if !errors.Is(err, ErrUnreadable) || !errors.Is(err, keyring.ErrNoKey) || len(person.Factors[1].Secret) > 0 {
				t.Errorf("%v", err)
			}
			for _, part := range []string{without.Path("alice") + ":", "factor[2].secret: ", name} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if err := without.Change("alice", func(p *Person) error { p.Phone = "+491511234567"; return nil }); err != nil {
				t.Fatal(err)
			}
			after := textOf(t, without, "alice")
			if strings.Replace(after, "phone = '+491511234567'\n", "", 1) != before {
				t.Errorf("got\n%s\nof\n%s", after, before)
			}
			rewrite(t, without, "alice", before)
			// What is new cannot be written plain where it is to be encrypted.
			err = without.Change("alice", func(p *Person) error { p.Factors = append(p.Factors, phoneOf("alice", "third")); return nil })
			if keys != nil && what == "missing" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a new secret without the key: %v", err)
			}
			rewrite(t, without, "alice", before)
		})
	}
	again, err := with.Load("alice")
	if err != nil || again.Unreadable() != nil {
		t.Errorf("with the key again: %v, %v", err, again.Unreadable())
	}
}

// A plain secret of before can be kept where the key is not there, and is encrypted
// with the next change where it is.
func TestPlainOfBefore(t *testing.T) {
	key, _ := newKey(t)
	users := safe(t)
	enroll(t, opened(t, at(users)), "alice", phoneOf("alice", "phone"))
	change := func(dir *Dir) {
		t.Helper()
		if err := dir.Change("alice", func(p *Person) error { p.Email = ""; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	without := opened(t, at(users, key+"-gone"))
	change(without)
	if text := textOf(t, without, "alice"); secretLine(t, text) != phoneOf("alice", "phone").Secret.Base32() {
		t.Errorf("got\n%s", text)
	}
	with := opened(t, at(users, key))
	change(with)
	if text := textOf(t, with, "alice"); !keyring.IsEncrypted(secretLine(t, text)) {
		t.Errorf("got\n%s", text)
	}
}

// A value is good in its place alone, and a damaged one loses nobody.
func TestValuesMoved(t *testing.T) {
	key, name := newKey(t)
	dir := opened(t, at(safe(t), key))
	enroll(t, dir, "alice", phoneOf("alice", "phone"), phoneOf("alice", "spare"))
	enroll(t, dir, "bob", phoneOf("bob", "phone"))
	alices, bobs := textOf(t, dir, "alice"), textOf(t, dir, "bob")
	first := secretLine(t, alices)
	second := secretLine(t, alices[strings.Index(alices, first):])
	for what, text := range map[string]string{
		"of another person": strings.Replace(alices, first, secretLine(t, bobs), 1),
		"of another factor": strings.Replace(alices, first, second, 1),
		"another id":        strings.Replace(alices, "id = 'phone'", "id = 'phone2'", 1),
		"another kind":      strings.Replace(strings.Replace(alices, "kind = 'totp'", "kind = 'hotp'", 1), "period = 30\n", "", 1),
		"a byte":            strings.Replace(alices, first, damaged(first), 1),
	} {
		if text == alices {
			t.Fatalf("%s: nothing changed", what)
		}
		rewrite(t, dir, "alice", text)
		person, err := dir.Load("alice")
		if err != nil || !person.Enrolled() {
			t.Errorf("%s: %v", what, err)
			continue
		}
		err = person.Factors[0].Unreadable()
		if !errors.Is(err, keyring.ErrDamaged) || !strings.Contains(err.Error(), dir.Path("alice")) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", what, err)
		}
		if what != "another id" && person.Factors[1].Unreadable() != nil {
			t.Errorf("%s: the other one: %v", what, person.Factors[1].Unreadable())
		}
		if err := dir.Change("alice", func(p *Person) error { p.Email = ""; return nil }); err != nil {
			t.Errorf("%s: a change: %v", what, err)
		}
	}
}

// Each byte of the value in the file: no change goes unseen, none makes the
// person absent.
func TestEveryByteInTheFile(t *testing.T) {
	key, _ := newKey(t)
	place := at(safe(t), key)
	dir := opened(t, place)
	enroll(t, dir, "alice", phoneOf("alice", "phone"))
	text := textOf(t, dir, "alice")
	value := secretLine(t, text)
	start := strings.Index(text, value)
	for i := range value {
		for _, to := range []byte{value[i] ^ 1, value[i] ^ 0x20, 'A', '\'', '\n', 0} {
			data := []byte(text)
			if data[start+i] == to {
				continue
			}
			data[start+i] = to
			person, err := place.Parse(dir.Path("alice"), "alice", data)
			if err == nil {
				err = person.Unreadable()
			}
			if err == nil {
				t.Fatalf("byte %d as %q counts", i, to)
			}
			if errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "alice.toml") {
				t.Fatalf("byte %d as %q: %v", i, to, err)
			}
		}
	}
}

func TestRequired(t *testing.T) {
	key, _ := newKey(t)
	users := safe(t)
	enroll(t, opened(t, at(users)), "alice", phoneOf("alice", "phone"))
	place := at(users, key)
	place.Required = true
	dir := opened(t, place)
	before := textOf(t, dir, "alice")
	person, err := dir.Load("alice")
	if err != nil || !person.Enrolled() || len(person.Factors[0].Secret) > 0 {
		t.Fatalf("%v, %+v", err, person)
	}
	if err := person.Unreadable(); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "required") {
		t.Error(err)
	}
	// It is not made good on the way, and not lost.
	if err := dir.Change("alice", func(p *Person) error { p.Email = "a@example.com"; return nil }); err != nil {
		t.Fatal(err)
	}
	if after := textOf(t, dir, "alice"); after != strings.Replace(before, "alice@example.com", "a@example.com", 1) {
		t.Errorf("got\n%s\nof\n%s", after, before)
	}
	enroll(t, dir, "bob", phoneOf("bob", "phone"))
	if person, err := dir.Load("bob"); err != nil || person.Unreadable() != nil {
		t.Errorf("%v, %v", err, person.Unreadable())
	}
}

// A factor that is given another secret, while the old one's text is kept by
// mistake, must not become a file with the old one.
func TestNotWrittenWithAnotherSecret(t *testing.T) {
	key, _ := newKey(t)
	dir := opened(t, at(safe(t), key))
	enroll(t, dir, "alice", phoneOf("alice", "phone"))
	before := textOf(t, dir, "alice")
	err := dir.Change("alice", func(p *Person) error { p.Factors[0].Secret = Secret("another secret, 20 bytes"); return nil })
	if err == nil || textOf(t, dir, "alice") != before {
		t.Errorf("written, %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The longest secret fits, and a value that is longer does not.
func TestLongest(t *testing.T) {
	key, _ := newKey(t)
	dir := opened(t, at(safe(t), key))
	f := phoneOf("alice", "phone")
	f.Secret = Secret(strings.Repeat("s", maxSecret))
	enroll(t, dir, "alice", f)
	if person, err := dir.Load("alice"); err != nil || person.Unreadable() != nil || len(person.Factors[0].Secret) != maxSecret {
		t.Errorf("%v, %v", err, person.Unreadable())
	}
	text := textOf(t, dir, "alice")
	rewrite(t, dir, "alice", strings.Replace(text, keyring.Prefix, keyring.Prefix+strings.Repeat("0", maxEncrypted), 1))
	if _, err := dir.Load("alice"); err == nil {
		t.Error("a value without end was taken")
	}
	for _, wrong := range []string{"", "short"} {
		encrypted, err := dir.place.Keys.Encrypt(f.binding("alice"), []byte(wrong))
		must(t, err)
		rewrite(t, dir, "alice", strings.Replace(text, secretLine(t, text), encrypted, 1))
		if person, err := dir.Load("alice"); err != nil || person.Unreadable() == nil {
			t.Errorf("a secret of %d bytes counts: %v", len(wrong), err)
		}
	}
}

func BenchmarkLoadEncrypted(b *testing.B) {
	key, _ := newKey(b)
	users := safe(b)
	enroll(b, opened(b, at(users, key)), "encrypted", phoneOf("encrypted", "phone"))
	enroll(b, opened(b, at(users)), "plain", phoneOf("plain", "phone"))
	for _, user := range []string{"plain", "encrypted"} {
		b.Run(user+" in a fresh process", func(b *testing.B) {
			for b.Loop() {
				dir, err := at(users, key).Open()
				must(b, err)
				person, err := dir.Load(user)
				if err != nil || person.Unreadable() != nil {
					b.Fatal(fmt.Errorf("%w, %w", err, person.Unreadable()))
				}
				dir.Close()
			}
		})
	}
}
