package gate

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/castest"
)

// distant is a service and people that answer after a while.
type distant struct {
	*castest.Service
	accounts Accounts
}

const (
	readTakes  = 10 * time.Millisecond
	writeTakes = 1000 * time.Millisecond
)

func (d distant) Get(ctx context.Context, key string) (casledger.Register, error) {
	time.Sleep(readTakes)
	return d.Service.Get(ctx, key)
}

func (d distant) Swap(ctx context.Context, key string, revision int64, value []byte, keep time.Duration) (bool, casledger.Register, error) {
	time.Sleep(writeTakes)
	return d.Service.Swap(ctx, key, revision, value, keep)
}

func (d distant) Load(name string) (account.Person, error) {
	time.Sleep(readTakes)
	return d.accounts.Load(name)
}

// What a login asks a distant ledger it asks at once where no answer depends on another: the
// person and the address before the prompt, and after it the person's file and the address.
// The entry is read once more in the change that uses the code up.
func TestDistantLedgerIsAskedAtOnce(t *testing.T) {
	service, _ := castest.Serve(t)
	for _, test := range []struct {
		name   string
		people bool
		reads  time.Duration
	}{
		{"ledger", false, 3},
		{"people too", true, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newFixture(t)
			p.Give(test.name)
			slow := distant{service, p.Machine}
			p.Ledger = &lateLedger{open: func() (ledger.Store, error) { return casledger.New(slow, casledger.LimitsOf(time.Minute)), nil }}
			if test.people {
				p.Accounts = slow
			}
			begun := time.Now()
			expect(t, p.login(test.name, says(p.Code(t, test.name, 0))), Accept, "totp:phone")
			if took, want := time.Since(begun), test.reads*readTakes+writeTakes; took != want {
				t.Errorf("%s: a login took %v, expected %d reads one after the other and a write, %v", test.name, took, test.reads, want)
			}
		})
	}
}
