package keyring

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testwait"
)

var alicesPhone = Binding{"alice", "phone", "totp"}

// keyFile makes a key in a file and returns its path and name.
func keyFile(t testing.TB, spares ...string) (path, name string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	name, data := NewFile(spares...)
	path = filepath.Join(dir, "key")
	if err := os.WriteFile(path, data, 0o400); err != nil {
		t.Fatal(err)
	}
	return path, name
}

func encrypted(t testing.TB, r *Ring, at Binding, secret string) string {
	t.Helper()
	text, err := r.Encrypt(at, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRoundTrip(t *testing.T) {
	path, name := keyFile(t)
	ring := New(path)
	if current, err := ring.Current(); current != name || err != nil {
		t.Errorf("the key is %q, %v, want %q", current, err, name)
	}
	seen := map[string]bool{}
	const long = "0123456789" // so many characters of base64 do not come out by chance
	for _, secret := range []string{"", "0", strings.Repeat(long, 13)} {
		text := encrypted(t, ring, alicesPhone, secret)
		if seen[text] || text == encrypted(t, ring, alicesPhone, secret) {
			t.Error("two values are the same")
		}
		seen[text] = true
		if !IsEncrypted(text) || KeyOf(text) != name || strings.Contains(text, long) {
			t.Errorf("%q of %q", text, secret)
		}
		for _, r := range []*Ring{ring, New(path)} {
			if got, err := r.Decrypt(alicesPhone, text); err != nil || string(got) != secret {
				t.Errorf("%q, %v; want %q", got, err, secret)
			}
		}
	}
}

// Every byte counts, and nothing can be left out or put in.
func TestEveryByteFlipped(t *testing.T) {
	path, _ := keyFile(t)
	ring := New(path)
	text := encrypted(t, ring, alicesPhone, "secret of alice, 20 b")
	for i := range text {
		for bit := range 8 {
			flipped := []byte(text)
			flipped[i] ^= 1 << bit
			if got, err := ring.Decrypt(alicesPhone, string(flipped)); err == nil {
				t.Fatalf("byte %d, bit %d: %q", i, bit, got)
			} else if !errors.Is(err, ErrForm) && !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
		for _, changed := range []string{text[:i], text[:i] + text[i+1:], text[:i] + "A" + text[i:]} {
			if _, err := ring.Decrypt(alicesPhone, changed); err == nil {
				t.Fatalf("%q counts for %q", changed, text)
			}
		}
	}
	for _, changed := range []string{text + "=", text + "\n", " " + text, strings.ToUpper(text), text + text} {
		if _, err := ring.Decrypt(alicesPhone, changed); err == nil {
			t.Errorf("%q counts for %q", changed, text)
		}
	}
}

func TestBoundToItsPlace(t *testing.T) {
	path, name := keyFile(t)
	ring := New(path)
	text := encrypted(t, ring, alicesPhone, "secret of alice, 20 b")
	for _, other := range []Binding{{"bob", "phone", "totp"}, {"alice", "phone2", "totp"}, {"alice", "phone", "hotp"}, {"alic", "ephone", "totp"}, {}} {
		_, err := ring.Decrypt(other, text)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v", other, err)
		}
	}
}

// Old keys go on decrypting while the first one encrypts.
func TestSeveralKeys(t *testing.T) {
	first, firstName := keyFile(t)
	second, secondName := keyFile(t)
	old := encrypted(t, New(first), alicesPhone, "secret of alice, 20 b")
	ring := New(second, first)
	if got, err := ring.Decrypt(alicesPhone, old); err != nil || string(got) != "secret of alice, 20 b" {
		t.Errorf("under the old key: %q, %v", got, err)
	}
	if text := encrypted(t, ring, alicesPhone, "x"); KeyOf(text) != secondName {
		t.Errorf("%q is not encrypted with %s", text, secondName)
	}
	// The wrong key, and one that is not there, are both named.
	_, err := New(second, first+"-gone").Decrypt(alicesPhone, old)
	if !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), firstName) || !strings.Contains(err.Error(), second+" has the key "+secondName) ||
		!strings.Contains(err.Error(), first+"-gone: no such file") {
		t.Error(err)
	}
	// One that is not there is in nobody's way while another one has the key.
	if _, err := New(first+"-gone", first).Decrypt(alicesPhone, old); err != nil {
		t.Error(err)
	}
	if _, err := New(first+"-gone", first).Encrypt(alicesPhone, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), first+"-gone") {
		t.Errorf("encrypted with another key than the first: %v", err)
	}
	for _, none := range []*Ring{nil, New()} {
		if _, err := none.Decrypt(alicesPhone, old); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "[secrets]") || !strings.Contains(err.Error(), firstName) {
			t.Error(err)
		}
		if _, err := none.Encrypt(alicesPhone, nil); !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
	}
}

// A ring that lives long follows its files, and forgets what is gone.
func TestFollowsItsFiles(t *testing.T) {
	path, _ := keyFile(t)
	other, otherName := keyFile(t)
	ring := New(path)
	text := encrypted(t, ring, alicesPhone, "secret of alice, 20 b")
	settle(t, ring, alicesPhone, text)
	kept := ring.keys[0].aead
	if _, err := ring.Decrypt(alicesPhone, text); err != nil || ring.keys[0].aead != kept {
		t.Errorf("a file that has not changed was read again: %v", err)
	}
	must(t, os.Rename(path, path+"-away"))
	if _, err := ring.Decrypt(alicesPhone, text); !errors.Is(err, ErrNoKey) {
		t.Errorf("without the file: %v", err)
	}
	if ring.keys[0].aead != nil {
		t.Error("the key of a file that is gone is still there")
	}
	must(t, os.Rename(other, path))
	if _, err := ring.Decrypt(alicesPhone, text); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "has the key "+otherName) {
		t.Errorf("with another key: %v", err)
	}
	must(t, os.Rename(path+"-away", path))
	if _, err := ring.Decrypt(alicesPhone, text); err != nil {
		t.Errorf("with the key again: %v", err)
	}
	chmod(t, path, 0o644)
	if _, err := ring.Decrypt(alicesPhone, text); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "mode 0644") {
		t.Errorf("readable by others: %v", err)
	}
}

// One that is held keeps the keys that it has read, and no other.
func TestHeld(t *testing.T) {
	path, _ := keyFile(t)
	other, otherName := keyFile(t)
	text := encrypted(t, New(path), alicesPhone, "secret of alice, 20 b")
	late := other + "-late"
	ring := New(path, late)
	held := ring.Held()
	chmod(t, path, 0o644)
	if got, err := held.Decrypt(alicesPhone, text); err != nil || string(got) != "secret of alice, 20 b" {
		t.Errorf("%q, %v", got, err)
	}
	if again := encrypted(t, held, alicesPhone, "x"); KeyOf(again) != KeyOf(text) {
		t.Errorf("encrypted with %s", KeyOf(again))
	}
	for what, fresh := range map[string]*Ring{"the ring itself": ring, "held later": ring.Held()} {
		if _, err := fresh.Decrypt(alicesPhone, text); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "mode 0644") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A key that was not there is read when it is.
	lateText := encrypted(t, New(other), alicesPhone, "x")
	if _, err := held.Decrypt(alicesPhone, lateText); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), late+": no such file") {
		t.Error(err)
	}
	must(t, os.Rename(other, late))
	if _, err := held.Decrypt(alicesPhone, lateText); err != nil {
		t.Errorf("%s: %v", otherName, err)
	}
	if New().Held() == nil || (*Ring)(nil).Held() != nil {
		t.Error("a ring without keys")
	}
}

// settle reads the ring's first file when it has been the same for long enough.
func settle(t testing.TB, ring *Ring, at Binding, text string) {
	t.Helper()
	ring.now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, err := ring.Decrypt(at, text); err != nil || !ring.keys[0].stamp.Settled() {
		t.Fatalf("settled %v, %v", ring.keys[0].stamp.Settled(), err)
	}
}

func TestManyAtOnce(t *testing.T) {
	path, _ := keyFile(t)
	other, _ := keyFile(t)
	ring := New(path, other)
	text := encrypted(t, New(other), alicesPhone, "secret of alice, 20 b")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if _, err := ring.Decrypt(alicesPhone, text); err != nil {
					t.Error(err)
				}
				if _, err := ring.Encrypt(alicesPhone, []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// Nothing that can be printed of a ring shows a key.
func TestPrintsNothing(t *testing.T) {
	path, _ := keyFile(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := parseKey(data)
	if err != nil {
		t.Fatal(err)
	}
	ring := New(path)
	encrypted(t, ring, alicesPhone, "x")
	for _, format := range []string{"%v", "%+v"} {
		shown := fmt.Sprintf(format, &ring.keys)
		for _, key := range []string{string(raw), fmt.Sprint(raw), base64.StdEncoding.EncodeToString(raw)} {
			if strings.Contains(shown, key) {
				t.Errorf("%s shows the key", format)
			}
		}
	}
}

// What decrypts was encrypted, and is written in one way alone.
func FuzzDecrypt(f *testing.F) {
	path, name := keyFile(f)
	ring := New(path)
	text := encrypted(f, ring, alicesPhone, "secret of alice, 20 b")
	for _, seed := range []string{"", text, text[:40], Prefix, Prefix + name, Prefix + name + ":", Prefix + name + ":AAAA", goldenValue, "encrypted:é", "JBSWY3DPEHPK3PXP"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		got, err := ring.Decrypt(alicesPhone, given)
		if err == nil && (given != text || string(got) != "secret of alice, 20 b") {
			t.Errorf("%q decrypts to %q", given, got)
		}
		if err != nil && len(given) > 30 && strings.Contains(err.Error(), given) {
			t.Errorf("quotes %q", given)
		}
		if name, box, err := parse(given); err == nil && given != Prefix+name+":"+encoding.EncodeToString(box) {
			t.Errorf("%q is a second spelling", given)
		}
	})
}

func BenchmarkDecrypt(b *testing.B) {
	path, _ := keyFile(b)
	ring := New(path)
	text := encrypted(b, ring, alicesPhone, "secret of alice, 20 b")
	b.Run("anew", func(b *testing.B) {
		for b.Loop() {
			if _, err := New(path).Decrypt(alicesPhone, text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("kept", func(b *testing.B) {
		settle(b, ring, alicesPhone, text)
		for b.Loop() {
			if _, err := ring.Decrypt(alicesPhone, text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func chmod(t testing.TB, path string, mode os.FileMode) {
	t.Helper()
	// A change within the tick of the one before is not seen where the clock says that
	// that was an hour ago.
	testwait.Tick(t, path)
	must(t, os.Chmod(path, mode))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
