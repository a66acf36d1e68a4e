package casledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// On a machine whose ledger was moved no other one is used than that which knows it: not
// to look at an entry, not to change one, and not for its id.
func TestFormer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	m := &memory{values: map[string]Register{}}
	after := func(registers Registers) *Store {
		t.Helper()
		s := New(registers, Limits{Try: time.Minute, All: time.Minute})
		s.After(dir)
		return s
	}
	try := func(s *Store, step int64) []error {
		_, errView := s.View(t.Context(), ledger.UserKey("alice"))
		_, errID := s.ID(t.Context())
		return []error{errView, s.Update(t.Context(), ledger.UserKey("alice"), use(step)), errID}
	}
	if err := errors.Join(try(after(m), 1)...); err != nil {
		t.Errorf("there was no other one: %v", err)
	}
	move, err := ledger.OpenMove(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer move.Close()
	if err := errors.Join(move.Begin(ledger.Moved{To: "etcd", Prefix: "otpgate/1/", ID: "0123456789abcdef", Begun: time.Now()}), move.Finish()); err != nil {
		t.Fatal(err)
	}
	stored := len(m.swaps)
	for _, err := range try(after(m), 2) {
		if !errors.As(err, new(ledger.ForgottenError)) || !ledger.CountsNowhere(err) {
			t.Errorf("nothing is known of it: %v", err)
		}
	}
	if len(m.swaps) != stored {
		t.Errorf("%d were stored all the same", len(m.swaps)-stored)
	}
	away := after(refusing{fmt.Errorf("nobody there: %w", ErrUnavailable)})
	away.limits = Limits{Try: time.Millisecond, All: 20 * time.Millisecond}
	for _, err := range try(away, 2) {
		if !errors.Is(err, ledger.ErrUnreachable) {
			t.Errorf("it cannot be asked: %v", err)
		}
	}
	if err := testStore(m).End(t.Context(), move.ID(), move.Origin()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(try(after(m), 2)...); err != nil {
		t.Errorf("it is known: %v", err)
	}
}

// A store that goes on being used notices that the ledger is another one since: a copy was
// restored, or otpgate-ledgerd leads elsewhere. It notices too that the machine's own was
// moved, and that an admin had it begin with nothing.
func TestFormerMeanwhile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	m := &memory{values: map[string]Register{}}
	s := testStore(m)
	s.After(dir)
	expect := func(when string, step int64, denied any) {
		t.Helper()
		_, errView := s.View(t.Context(), ledger.UserKey("alice"))
		_, errID := s.ID(t.Context())
		for _, err := range []error{errView, s.Update(t.Context(), ledger.UserKey("alice"), use(step)), errID} {
			if denied == nil && err != nil || denied != nil && !errors.As(err, denied) {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	expect("no ledger in files", 1, nil)
	move, err := ledger.OpenMove(t.Context(), dir)
	if err == nil {
		defer move.Close()
		err = move.Begin(ledger.Moved{To: "etcd", Prefix: "otpgate/1/", ID: "0123456789abcdef", Begun: time.Now()})
	}
	if err != nil {
		t.Fatal(err)
	}
	expect("moving", 2, new(ledger.MovedError))
	if err := errors.Join(testStore(m).End(t.Context(), move.ID(), move.Origin()), move.Finish()); err != nil {
		t.Fatal(err)
	}
	expect("moved", 2, nil)
	m.values = map[string]Register{}
	expect("another ledger", 2, new(ledger.ForgottenError))
	if err := os.Remove(filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	expect("an admin had it begin with nothing", 1, nil)
}
