package casledger

import (
	"context"
	"errors"
	"fmt"
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
		if err := s.After(dir); err != nil {
			t.Fatal(err)
		}
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
	counted := &counting{memory: m}
	known := after(counted)
	if err := errors.Join(errors.Join(try(known, 2)...), errors.Join(try(known, 3)...)); err != nil || counted.asked[endOf(move.ID())] != 1 {
		t.Errorf("it is known: %v, asked %v", err, counted.asked)
	}
}

// counting counts what is asked for.
type counting struct {
	*memory
	asked map[string]int
}

func (c *counting) Get(ctx context.Context, key string) (Register, error) {
	if c.asked == nil {
		c.asked = map[string]int{}
	}
	c.asked[key]++
	return c.memory.Get(ctx, key)
}
