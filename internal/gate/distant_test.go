package gate

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/castest"
)

// distant is a service, and people, that answer nothing until nobody has more to ask: what
// is asked at once is answered in one round.
type distant struct {
	*castest.Service
	accounts Accounts
	mu       sync.Mutex
	asked    []string
	answer   chan struct{} // closed when what was asked is answered
}

// ask waits for the end of the round.
func (d *distant) ask(what string) {
	d.mu.Lock()
	d.asked = append(d.asked, what)
	answer := d.answer
	d.mu.Unlock()
	<-answer
}

// rounds answers until the login is over, and returns what was asked in each round. It is
// called in a bubble of synctest, which tells when all others wait.
func (d *distant) rounds(over <-chan struct{}) (all [][]string) {
	for {
		synctest.Wait()
		select {
		case <-over:
			return all
		default:
		}
		d.mu.Lock()
		if len(d.asked) == 0 {
			panic("the login waits for nothing that is asked here")
		}
		slices.Sort(d.asked)
		all = append(all, d.asked)
		d.asked = nil
		close(d.answer)
		d.answer = make(chan struct{})
		d.mu.Unlock()
	}
}

func (d *distant) Get(ctx context.Context, key string) (casledger.Register, error) {
	d.ask("read " + key)
	return d.Service.Get(ctx, key)
}

func (d *distant) Swap(ctx context.Context, key string, revision int64, value []byte, keep time.Duration) (bool, casledger.Register, error) {
	d.ask("change " + key)
	return d.Service.Swap(ctx, key, revision, value, keep)
}

func (d *distant) Load(name string) (account.Person, error) {
	d.ask("load " + name)
	return d.accounts.Load(name)
}

// What a login asks a distant ledger it asks at once where no answer depends on another: the
// person and the address before the prompt, and after it the person's file and the address.
// The entry is read once more in the change that uses the code up.
func TestDistantLedgerIsAskedAtOnce(t *testing.T) {
	for _, test := range []struct {
		name   string
		people bool
		want   [][]string
	}{
		{"ann", false, [][]string{{"read sources/192.0.2.1", "read users/ann"}, {"read sources/192.0.2.1"}, {"read users/ann"}, {"change users/ann"}}},
		{"bob", true, [][]string{{"load bob"}, {"read sources/192.0.2.1", "read users/bob"}, {"load bob", "read sources/192.0.2.1"}, {"read users/bob"}, {"change users/bob"}}},
	} {
		service, _ := castest.Serve(t)
		synctest.Test(t, func(t *testing.T) {
			p := newFixture(t)
			p.Give(test.name)
			far := &distant{Service: service, accounts: p.Machine, answer: make(chan struct{})}
			p.Ledger = &lateLedger{open: func() (ledger.Store, error) { return casledger.New(far, casledger.LimitsOf(time.Minute)), nil }}
			if test.people {
				p.Accounts = far
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				expect(t, p.login(test.name, says(p.Code(t, test.name, 0))), Accept, "totp:phone")
			}()
			if got := far.rounds(over); !slices.EqualFunc(got, test.want, slices.Equal) {
				t.Errorf("people too %v: a login asked in turn %q, expected %q", test.people, got, test.want)
			}
		})
	}
}
