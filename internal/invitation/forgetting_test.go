package invitation

import (
	"errors"
	"path/filepath"
	"testing"

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
