package accounttest

import (
	"errors"
	"slices"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
)

// What a rename asks whoever knows of used codes, for one of whom nothing is known.
func ours(account.Person) (bool, error) { return true, nil }
func may(account.Person) error          { return nil }
func moved(*account.Person) error       { return nil }

func renamed(t *testing.T, s suite) {
	store := s.store(t)
	mustChange(t, store, "alice", func(p *account.Person) error { *p = full("alice"); return nil })
	never := func(account.Person) error { return errors.New("never") }
	if _, err := store.Rename("alice", "alicia", ours, never, moved); err == nil {
		t.Error("it was not to be")
	}
	wantNobody(t, store, "alicia")
	other := s.store(t)
	done, err := store.Rename("alice", "alicia", ours, may, func(p *account.Person) error {
		if p.User != "alicia" || p.RecoveryUser() != "former" {
			t.Errorf("moves %+v", *p)
		}
		mustLoad(t, other, "alice")
		if _, err := other.Load("alicia"); !errors.Is(err, account.ErrOfAnother) {
			t.Errorf("meanwhile the new one gives %v", err)
		}
		p.Phone = "+4915199999"
		return nil
	})
	if err != nil || done.User != "alicia" {
		t.Fatalf("%+v, %v", done, err)
	}
	wantNobody(t, other, "alice")
	want := full("alice")
	want.User, want.Phone = "alicia", "+4915199999"
	if got := mustLoad(t, other, "alicia"); !same(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if names, err := other.Names(); err != nil || !slices.Equal(names, []string{"alicia"}) {
		t.Errorf("%q, %v", names, err)
	}
	// In another spelling too.
	if _, err := store.Rename("alicia", "Alicia", ours, may, moved); err != nil {
		t.Fatal(err)
	}
	wantNobody(t, store, "alicia")
	if like, err := store.Like("alicia"); err != nil || !slices.Equal(like, []string{"Alicia"}) {
		t.Errorf("%q, %v", like, err)
	}
	if _, err := store.Rename("Alicia", "Alicia", ours, may, moved); err == nil {
		t.Error("renamed to itself")
	}
}

func renamedToTaken(t *testing.T, s suite) {
	store := s.store(t)
	enroll(t, store, "alice")
	enroll(t, store, "alicia")
	if _, err := store.Rename("alice", "alicia", ours, may, moved); !errors.Is(err, account.ErrTaken) {
		t.Error(err)
	}
	wantPhone(t, store, "alice", "alice")
	wantPhone(t, store, "alicia", "alicia")
}

// A rename that failed half-way goes on.
func renamedOnceMore(t *testing.T, s suite) {
	store, failed := s.store(t), errors.New("failed")
	enroll(t, store, "alice")
	for range 2 {
		if _, err := store.Rename("alice", "alicia", ours, may, func(*account.Person) error { return failed }); err != failed {
			t.Fatal(err)
		}
		halfway(t, store)
	}
	if _, err := s.store(t).Rename("alice", "alicia", ours, may, moved); err != nil {
		t.Fatal(err)
	}
	wantNobody(t, store, "alice")
	wantPhone(t, store, "alicia", "alice")
}

// halfway is how a rename leaves both that did not end.
func halfway(t *testing.T, store account.Store) {
	t.Helper()
	wantPhone(t, store, "alice", "alice")
	if _, err := store.Load("alicia"); !errors.Is(err, account.ErrOfAnother) {
		t.Errorf("the new one gives %v", err)
	}
}

func renameKilled(t *testing.T, s suite) {
	store := s.store(t)
	enroll(t, store, "alice")
	s.killed(t, "die in rename")
	halfway(t, store)
	if _, err := store.Rename("alice", "alicia", ours, may, moved); err != nil {
		t.Fatal(err)
	}
	wantNobody(t, store, "alice")
	wantPhone(t, store, "alicia", "alice")
}
