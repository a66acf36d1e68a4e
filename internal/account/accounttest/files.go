package accounttest

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
)

func nobodyIsThere(t *testing.T, s suite) {
	store := s.store(t)
	wantNobody(t, store, "alice")
	if _, err := store.Text("alice"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("text: %v", err)
	}
	if err := store.Remove("alice"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("remove: %v", err)
	}
	if _, err := store.Rename("alice", "alicia", ours, may, moved); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("rename: %v", err)
	}
	if done, err := store.Rewrite([]string{"alice"}, account.Rotate, false); err != nil || len(done) != 1 || !errors.Is(done[0].Err, account.ErrNotFound) {
		t.Errorf("rewrite: %v, %v", done, err)
	}
	names, strays, err := store.List()
	if like, errLike := store.Like("Alice"); len(names)+len(strays)+len(like) > 0 || err != nil || errLike != nil {
		t.Errorf("lists %q, %q and %q: %v, %v", names, strays, like, err, errLike)
	}
	if err := store.RemoveLeft(); err != nil {
		t.Error(err)
	}
}

// full is a person with every field.
func full(name string) account.Person {
	return account.Person{
		Version: 1, User: name, Enabled: true, Protocols: []config.Protocol{"ssh", "sftp"}, Email: name + "@example.com", Phone: "+491511234567",
		Factors: []account.Factor{
			phone(name, "phone"),
			{ID: "token", Kind: account.HOTP, Secret: phone(name, "token").Secret, Digits: 8, Algorithm: "SHA512", Counter: 77, Prefix: "abc", Confirmed: noon},
			{ID: "mail", Kind: account.Email, Confirmed: noon},
			{ID: "new", Kind: account.TOTP, Secret: phone(name, "new").Secret, Digits: 6, Period: 60, Algorithm: "SHA256"},
		},
		Recovery: account.Recovery{User: "former", Hashes: []string{strings.Repeat("0a", 32), strings.Repeat("1b", 32)}},
	}
}

// same says whether two have the same in all that tests can see.
func same(a, b account.Person) bool {
	bare := func(p account.Person) []account.Factor {
		var factors []account.Factor
		for _, f := range p.Factors {
			factors = append(factors, account.Factor{
				ID: f.ID, Kind: f.Kind, Secret: f.Secret, Digits: f.Digits, Period: f.Period, Algorithm: f.Algorithm,
				Counter: f.Counter, Prefix: f.Prefix, Confirmed: f.Confirmed,
			})
		}
		return factors
	}
	return a.Version == b.Version && a.User == b.User && a.Enabled == b.Enabled && a.Email == b.Email && a.Phone == b.Phone &&
		reflect.DeepEqual(a.Protocols, b.Protocols) && reflect.DeepEqual(a.Recovery, b.Recovery) && reflect.DeepEqual(bare(a), bare(b))
}

func keepsEveryField(t *testing.T, s suite) {
	store, want := s.store(t), full("alice")
	mustChange(t, store, "alice", func(p *account.Person) error {
		if p.Version != 1 || p.User != "alice" || !p.Enabled || len(p.Factors) > 0 {
			t.Error("somebody without a file is not empty")
		}
		*p = want
		return nil
	})
	again := s.store(t)
	if got := mustLoad(t, again, "alice"); !same(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	text, err := again.Text("alice")
	if err != nil || !strings.Contains(string(text), "user = 'alice'") {
		t.Errorf("the text is %q, %v", text, err)
	}
	mustChange(t, again, "alice", func(p *account.Person) error {
		if !same(*p, want) {
			t.Errorf("changes %+v, want %+v", *p, want)
		}
		p.Enabled, p.Protocols, p.Email, p.Phone, p.Factors, p.Recovery = false, nil, "", "", p.Factors[:1], account.Recovery{}
		return nil
	})
	want = account.Person{Version: 1, User: "alice", Factors: want.Factors[:1]}
	if got := mustLoad(t, store, "alice"); !same(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A change that changes nothing leaves the text as it was.
func keepsTheHeading(t *testing.T, s suite) {
	store := s.store(t)
	enroll(t, store, "alice")
	before, err := store.Text("alice")
	if err != nil {
		t.Fatal(err)
	}
	mustChange(t, store, "alice", func(*account.Person) error { return nil })
	if after, err := store.Text("alice"); err != nil || string(after) != string(before) {
		t.Errorf("%q became %q, %v", before, after, err)
	}
}

func errorOfChange(t *testing.T, s suite) {
	store, refused := s.store(t), errors.New("refused")
	calls := 0
	refuse := func(p *account.Person) error {
		calls++
		p.Factors = nil
		return refused
	}
	if err := store.Change("alice", refuse); err != refused || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	wantNobody(t, store, "alice")
	enroll(t, store, "alice")
	if err := store.Change("alice", refuse); err != refused || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
	wantPhone(t, store, "alice", "alice")
	bad := func(p *account.Person) error { p.Email = "nowhere"; return nil }
	if err := store.Change("alice", bad); err == nil {
		t.Error("what cannot be read back was written")
	}
	wantPhone(t, store, "alice", "alice")
}

func removed(t *testing.T, s suite) {
	store, other := s.store(t), s.store(t)
	for range 3 {
		enroll(t, store, "alice")
		enroll(t, store, "bob")
		wantPhone(t, other, "alice", "alice")
		if err := other.Remove("alice"); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, store, "alice")
		if _, err := store.Text("alice"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("text: %v", err)
		}
		if err := store.Remove("alice"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("removed again: %v", err)
		}
		if names, err := store.Names(); err != nil || len(names) != 1 || names[0] != "bob" {
			t.Errorf("names %q, %v", names, err)
		}
		if like, err := store.Like("Alice"); err != nil || len(like) != 0 {
			t.Errorf("like %q, %v", like, err)
		}
		if err := store.Remove("bob"); err != nil {
			t.Fatal(err)
		}
	}
}
