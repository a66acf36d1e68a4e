package invitation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
)

// A link that is cancelled, or followed by a newer one, while its device cannot be written
// is not given back.
func TestCancelledWhileGivenBack(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *site){
		"cancelled": func(t *testing.T, s *site) { s.cancelled(t, 0) }, // it is used at that moment
		"newer":     func(t *testing.T, s *site) { s.invite(t, true) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			link := s.invite(t, true).Link
			setup := s.begin(t, link)
			inTheWay := filepath.Join(s.place().Path, ".new-alice.toml")
			if err := os.MkdirAll(filepath.Join(inTheWay, "full"), 0o700); err != nil {
				t.Fatal(err)
			}
			store := s.People.Ledger
			hook := &hooked{Store: store, kind: ledger.Link}
			hook.hook = func() error {
				hook.hook = func() error { // before the link is given back
					s.People.Ledger = store
					if err := os.RemoveAll(inTheWay); err != nil {
						return err
					}
					end(t, s)
					return nil
				}
				return nil
			}
			s.People.Ledger = hook
			if _, err := s.Confirm(t.Context(), s.answer(t, setup)); err == nil {
				t.Fatal("written all the same")
			}
			s.People.Ledger = store
			s.looks(t, link, Cancelled)
			if _, err := s.Begin(t.Context(), link, home); !errors.Is(err, ErrCancelled) {
				t.Errorf("opened again: %v", err)
			}
			if s.devices(t) != "" {
				t.Errorf("%q counts", s.devices(t))
			}
		})
	}
}

// The ledger has kept that the link is used, and says that it failed, as one in etcd whose
// answer is lost. Nothing counts, so nobody loses the link.
func TestLedgerFailsAfterAll(t *testing.T) {
	lost := errors.New("no answer came")
	s := newSite(t)
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	store := s.People.Ledger
	s.People.Ledger = &late{Store: store, kind: ledger.Link, err: lost}
	s.refused(t, s.answer(t, setup), lost)
	s.People.Ledger = store
	s.looks(t, link, Ready)
	if s.devices(t) != "" {
		t.Errorf("%q counts", s.devices(t))
	}
	answer := s.answer(t, setup)
	answer.First = s.code(t, setup, 1)
	s.confirm(t, answer)
	s.refused(t, answer, ErrUsed)
	s.looks(t, link, Used)
}

// late is a ledger that fails once after it has changed something of a kind.
type late struct {
	ledger.Store
	kind ledger.Kind
	err  error
}

func (l *late) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	err := l.Store.Update(ctx, key, change)
	if err == nil && key.Kind == l.kind {
		err, l.err = l.err, nil
	}
	return err
}
