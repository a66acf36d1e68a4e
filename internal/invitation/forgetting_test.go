package invitation

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// Stopped between two links, or before their names go, forgetting leaves no link that is
// good, and nothing that the next one does not find.
func TestForgettingStopsOnTheWay(t *testing.T) {
	for name, kind := range map[string]ledger.Kind{"a link": ledger.Link, "the names": ledger.Invited} {
		for _, isLate := range []bool{false, true} {
			s := newSite(t)
			first, second := s.invite(t, false), s.invite(t, false)
			s.Clock = second.Ends.Add(day)
			stopped, store := errors.New("power cut"), s.People.Ledger
			if s.People.Ledger = (&hooked{Store: store, kind: kind, hook: func() error { return stopped }}); isLate {
				s.People.Ledger = &late{Store: store, kind: kind, err: stopped}
			}
			if err := s.Forget(t.Context()); !errors.Is(err, stopped) {
				t.Errorf("%s: %v", name, err)
			}
			s.People.Ledger = store
			for _, link := range []string{first.Link, second.Link} {
				if _, err := s.Begin(t.Context(), link, home); err == nil {
					t.Errorf("%s: a link is good again", name)
				}
			}
			s.forget(t)
			if left := everything(t, filepath.Join(s.state, "links")) + everything(t, filepath.Join(s.state, "invited")); left != "" {
				t.Errorf("%s: %s is left", name, left)
			}
		}
	}
}

// A key that a link showed, and nobody confirmed, goes once the link is over: by itself
// while the page is in use, and when people are reminded. A device that counts stays.
func TestKeysOfEndedLinksGo(t *testing.T) {
	for what, forget := range map[string]func(t *testing.T, s *site){
		"by itself":  func(t *testing.T, s *site) { s.forget(t) },
		"a reminder": func(t *testing.T, s *site) { s.reminds(t, false) },
	} {
		s := newSite(t)
		s.enroll(t)
		link := s.invite(t, true)
		s.begin(t, link.Link)
		factors := func() int {
			person, err := s.load("alice")
			if err != nil {
				t.Fatal(err)
			}
			return len(person.Factors)
		}
		s.Clock = link.Ends.Add(-time.Second)
		if forget(t, s); factors() != 2 {
			t.Errorf("%s: the key of a good link is gone", what)
		}
		s.Clock = link.Ends
		if forget(t, s); factors() != 1 || s.devices(t) != "phone" {
			t.Errorf("%s: %d factors are left, %s count", what, factors(), s.devices(t))
		}
		s.looks(t, link.Link, Expired)
	}
}

// Of whoever has a file that cannot be read nothing is forgotten, and of the others all.
func TestForgettingGoesOn(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	broken := filepath.Join(s.place().Path, "aaron.toml")
	if err := os.WriteFile(broken, []byte("version = 1\nuser = \"aaron\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), Wanted{User: "aaron", Factor: "phone", For: 3 * day}); err != nil {
		t.Fatal(err)
	}
	s.Clock = link.Ends.Add(day)
	stopped := errors.New("damaged")
	s.People.Ledger = &hooked{Store: s.People.Ledger, kind: ledger.Link, hook: func() error { return stopped }}
	if err := s.Forget(t.Context()); !errors.Is(err, stopped) {
		t.Errorf("%v", err)
	}
	if links, err := s.ListOf(t.Context(), "alice"); err != nil || len(links) != 0 {
		t.Errorf("%+v, %v", links, err)
	}
}
