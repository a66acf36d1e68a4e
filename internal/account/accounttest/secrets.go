package accounttest

import (
	"errors"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/keyring"
)

// wantEncrypted says that the text has the phone's secret, and only encrypted with the
// key in that file.
func wantEncrypted(t *testing.T, store account.Store, name, key string) {
	t.Helper()
	text, err := store.Text(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), phone(name, "phone").Secret.Base32()) {
		t.Errorf("the secret of %q is not encrypted", name)
	}
	want, _, err := keyring.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	person, err := store.Load(name)
	if err != nil || len(person.Factors) != 1 || keyring.KeyOf(person.Factors[0].Encrypted) != want {
		t.Errorf("the secret of %q is not encrypted with %s: %v", name, want, err)
	}
}

func encrypted(t *testing.T, s suite) {
	store := s.store(t)
	enroll(t, store, "alice")
	wantEncrypted(t, store, "alice", s.key)
	before, err := store.Text("alice")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := store.Rewrite([]string{"alice"}, account.EncryptPlain, false); err != nil || done[0].Changed != 0 || done[0].Err != nil {
		t.Errorf("%v, %v", done, err)
	}
	if after, err := store.Text("alice"); err != nil || string(after) != string(before) {
		t.Errorf("written again: %v", err)
	}
}

func rotated(t *testing.T, s suite) {
	newer := newKey(t)
	old, both := s.store(t), s.storeWith(t, newer, s.key)
	people := []string{"alice", "bob", "carol"}
	for _, name := range people {
		enroll(t, old, name)
	}
	for _, dry := range []bool{true, false} {
		done, err := both.Rewrite(append(people, "nobody"), account.Rotate, dry)
		if err != nil || len(done) != 4 || !errors.Is(done[3].Err, account.ErrNotFound) {
			t.Fatalf("%v, %v", done, err)
		}
		for i, name := range people {
			if done[i] != (account.Rewritten{User: name, Changed: 1}) {
				t.Errorf("%+v", done[i])
			}
			key := newer
			if dry {
				key = s.key
			}
			wantEncrypted(t, both, name, key)
		}
	}
	for _, name := range people {
		wantPhone(t, s.storeWith(t, newer), name, name)
	}
	if done, err := both.Rewrite(people[:1], account.Rotate, false); err != nil || done[0] != (account.Rewritten{User: "alice"}) {
		t.Errorf("rotated again: %v, %v", done, err)
	}
}

// One secret that cannot be read keeps nobody else's from being rotated.
func rotatesWhatCanBeRead(t *testing.T, s suite) {
	newer, lost := newKey(t), newKey(t)
	enroll(t, s.storeWith(t, lost), "alice")
	enroll(t, s.store(t), "bob")
	both := s.storeWith(t, newer, s.key)
	done, err := both.Rewrite([]string{"alice", "bob"}, account.Rotate, false)
	if err != nil || !errors.Is(done[0].Err, account.ErrUnreadable) || done[0].Changed != 0 || done[1] != (account.Rewritten{User: "bob", Changed: 1}) {
		t.Errorf("%v, %v", done, err)
	}
	wantEncrypted(t, both, "bob", newer)
	wantPhone(t, s.storeWith(t, lost), "alice", "alice")
}

// Without the key the person is there, the secret cannot be read, and is not lost by a
// change of something else.
func withoutTheKey(t *testing.T, s suite) {
	enroll(t, s.store(t), "alice")
	without := s.storeWith(t, newKey(t))
	person, err := without.Load("alice")
	if err != nil || !errors.Is(person.Unreadable(), account.ErrUnreadable) || !person.Enrolled() {
		t.Fatalf("%v, %v", err, person.Unreadable())
	}
	mustChange(t, without, "alice", func(p *account.Person) error { p.Email = "alice@example.com"; return nil })
	wantPhone(t, s.store(t), "alice", "alice")
	wantEncrypted(t, s.store(t), "alice", s.key)
}
