package selfservice

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

var errBroken = errors.New("the ledger fails")

// failsOnce is a ledger of which one change fails: before anything is stored, or, as when a
// process is killed or an answer is lost, after it was.
type failsOnce struct {
	ledger.Store
	left   int // changes until then
	stored bool
	failed bool
}

func (f *failsOnce) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	f.left--
	if f.left != 0 {
		return f.Store.Update(ctx, key, change)
	}
	f.failed = true
	if f.stored {
		if err := f.Store.Update(ctx, key, change); err != nil {
			return err
		}
	}
	return errBroken
}

// Whatever change of the ledger fails in whatever somebody does: what counts of their
// devices lets them in, no code is good twice, and another link opens the page.
func TestFailsAtEachChange(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, s *site, browser BrowserSession, link string) (used string, err error){
		"add": func(t *testing.T, s *site, browser BrowserSession, _ string) (string, error) {
			setup, err := s.Add(t.Context(), browser, "tablet")
			if err != nil {
				return "", err
			}
			first := gatetest.CodeOf(t, setup.URI, s.Clock)
			err = s.Confirm(t.Context(), browser, first)
			return first, err
		},
		"rename": func(t *testing.T, s *site, browser BrowserSession, _ string) (string, error) {
			return s.codeNow(t, "phone"), s.Rename(t.Context(), browser, "phone", "mobile")
		},
		"remove": func(t *testing.T, s *site, browser BrowserSession, _ string) (string, error) {
			code := s.code(t, "phone")
			return code, s.Remove(t.Context(), browser, "old", code)
		},
		"recovery": func(t *testing.T, s *site, browser BrowserSession, _ string) (string, error) {
			code := s.code(t, "phone")
			_, err := s.NewRecovery(t.Context(), browser, code)
			return code, err
		},
		"enter": func(t *testing.T, s *site, _ BrowserSession, link string) (string, error) {
			code := s.code(t, "phone")
			_, err := s.Enter(t.Context(), link, code, home)
			return code, err
		},
		"end": func(t *testing.T, s *site, browser BrowserSession, _ string) (string, error) {
			return "", s.EndSession(t.Context(), browser, "", true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stored := range []bool{false, true} {
				for n := 1; failsAt(t, n, stored, do); n++ {
				}
			}
		})
	}
}

// failsAt has the change of that number fail. It is false if there are fewer.
func failsAt(t *testing.T, n int, stored bool, do func(*testing.T, *site, BrowserSession, string) (string, error)) bool {
	t.Helper()
	s := newSite(t)
	s.edit(t, func(person *account.Person) {
		old := enrollment.NewFactor("old", s.People.Config.TOTP)
		old.Confirmed = s.Clock
		person.Factors = append(person.Factors, old)
	})
	s.remembers(t, "198.51.100.9")
	s.People.Config.Policy.Session.Duration = 0 // codes are asked for nevertheless
	browser, link := s.enters(t), s.link(t)
	store := s.People.Ledger
	broken := &failsOnce{Store: store, left: n, stored: stored}
	s.People.Ledger = broken
	used, err := do(t, s, browser, link)
	s.People.Ledger = store
	if !broken.failed {
		if err != nil || n == 1 {
			t.Errorf("change %d: %v", n, err)
		}
		return false
	}
	in := 0
	for range 2 {
		if used != "" && s.logsIn(t, home, used) == gate.Accept {
			in++
		}
	}
	if in > 1 {
		t.Errorf("change %d, stored %v: a code is good twice", n, stored)
	}
	s.Clock = s.Clock.Add(time.Hour) // wrong codes are forgiven
	ids := strings.Fields(s.devices(t))
	if len(ids) == 0 {
		t.Fatalf("change %d, stored %v: no device is left", n, stored)
	}
	for _, id := range ids {
		if verdict := s.logsIn(t, home, s.code(t, id)); verdict != gate.Accept {
			t.Errorf("change %d, stored %v: a code of %s: %v", n, stored, id, verdict)
		}
	}
	if _, err := s.Enter(t.Context(), s.link(t), s.code(t, ids[0]), home); err != nil {
		t.Errorf("change %d, stored %v: another link: %v", n, stored, err)
	}
	return true
}
