package invitation

import (
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Whoever was disabled and is enabled again needs another invitation, and is told which of
// the two it is.
func TestDisabledEndsInvitations(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	enable := func(enabled bool) {
		t.Helper()
		if _, _, err := s.People.Enable(t.Context(), "alice", enabled); err != nil {
			t.Fatal(err)
		}
	}
	enable(false)
	s.looks(t, link, Disabled)
	if listed, err := s.ListOf(t.Context(), "alice"); err != nil || len(listed) != 1 || listed[0].State != Disabled.String() {
		t.Errorf("%+v, %v", listed, err)
	}
	enable(true)
	s.looks(t, link, Cancelled)
	s.refused(t, s.answer(t, setup), ErrCancelled)
	if _, err := s.Begin(t.Context(), link, home); !errors.Is(err, ErrCancelled) {
		t.Errorf("got %v", err)
	}
	setup = s.begin(t, s.invite(t, false).Link)
	s.confirm(t, s.answer(t, setup))
}

// An invitation that is made while the person is removed, renamed or disabled is good for
// nobody of that name, who may come later.
func TestInvitedInTheSameInstant(t *testing.T) {
	for name, does := range map[string]func(t *testing.T, s *site) error{
		"removed": func(t *testing.T, s *site) error { return s.People.Remove(t.Context(), "alice") },
		"renamed": func(t *testing.T, s *site) error {
			_, err := s.People.Rename(t.Context(), "alice", "bob")
			return err
		},
		"disabled": func(t *testing.T, s *site) error {
			_, _, err := s.People.Enable(t.Context(), "alice", false)
			return err
		},
	} {
		for _, kind := range []ledger.Kind{ledger.Link, ledger.Invited} {
			s := newSite(t)
			s.change(t, func(*account.Person) {})
			s.People.Ledger = &hooked{s.People.Ledger, kind, func() error { return does(t, s) }}
			created, err := s.Create(t.Context(), Wanted{User: "alice", Factor: "phone", For: day})
			if err == nil {
				t.Errorf("%s: invited all the same, by %v", name, created)
			}
			s.change(t, func(person *account.Person) { person.Enabled = true })
			listed, err := s.ListOf(t.Context(), "alice")
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range listed {
				if one.State == Ready.String() {
					t.Errorf("%s before a change of kind %d: %+v", name, kind, one)
				}
			}
		}
	}
}
