package casledger_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// odd is a service that hangs or panics.
type odd struct {
	casledger.Registers
	panics bool
	asked  atomic.Int64
}

func (o *odd) Get(ctx context.Context, _ string) (casledger.Register, error) {
	if o.panics {
		panic("odd")
	}
	o.asked.Add(1)
	<-ctx.Done()
	return casledger.Register{}, fmt.Errorf("%w: %w", casledger.ErrUnavailable, ctx.Err())
}

// A panic while something is looked up ahead ends no program.
func TestPanicAhead(t *testing.T) {
	store := casledger.New(&odd{panics: true}, casledger.LimitsOf(time.Second))
	view := store.ViewAhead(t.Context(), ledger.UserKey("ann"))
	if entry, err := view(0); err == nil || !strings.Contains(err.Error(), "panic: odd") {
		t.Errorf("found %+v, %v", entry, err)
	}
}

// However many logins wait for a service that hangs, a bounded number of entries is looked
// up ahead, and none of them any more once nobody waits for it.
func TestFewAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &odd{}
		store := casledger.New(service, casledger.LimitsOf(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		for range 1000 {
			store.ViewAhead(ctx, ledger.UserKey("ann"), ledger.UserKey("bob"))
		}
		synctest.Wait()
		if asked := service.asked.Load(); asked != 64 {
			t.Errorf("%d entries are looked up, expected 64", asked)
		}
		cancel()
		synctest.Wait() // or the bubble ends with goroutines that wait
		view := store.ViewAhead(t.Context(), ledger.UserKey("ann"))
		synctest.Wait()
		if asked := service.asked.Load(); asked != 65 {
			t.Errorf("%d entries were looked up, expected that places are free again", asked)
		}
		if entry, err := view(0); err == nil {
			t.Errorf("found %+v in a service that hangs", entry)
		}
	})
}
