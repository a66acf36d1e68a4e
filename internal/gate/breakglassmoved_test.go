package gate

import (
	"context"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// Until a ledger is moved none counts on this machine: enrolled people are asked for
// break-glass codes, each of which is good once, and no other code is good.
func TestBreakGlassWhileTheLedgerIsMoved(t *testing.T) {
	p := newFixture(t)
	p.Give("root")
	p.Give("alice")
	p.Config.Ledger = &config.Ledger{Prefix: "otpgate/1/", Socket: "/nonexistent/ledgerd"}
	p.Config.Paths.BreakGlass, p.Config.Paths.State = t.TempDir(), t.TempDir()
	p.UseBreakGlass()
	codes := p.breakGlass(t, "root")
	files, err := ledger.OpenFiles(p.Config.Paths.State)
	if err == nil {
		err = files.Update(t.Context(), ledger.UserKey("root"), func(entry *ledger.Entry) error { entry.Attempts.Wrong++; return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	move, err := ledger.OpenMove(t.Context(), p.Config.Paths.State)
	if err != nil {
		t.Fatal(err)
	}
	defer move.Close()
	running := p.Ledger
	for n, begin := range []func() error{
		func() error { return nil },
		func() error {
			return move.Begin(ledger.Moved{To: "etcd", Prefix: "otpgate/0/", ID: "0123456789abcdef", Begun: time.Now()})
		},
		move.Finish, // to where [ledger] does not lead
	} {
		if err := begin(); err != nil {
			t.Fatal(err)
		}
		p.Ledger = &lateLedger{open: func() (ledger.Store, error) { return OpenLedger(p.Config) }}
		expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Fault, "ledger")
		expect(t, p.login("root", says(codes[n])), Accept, "break-glass")
		expect(t, p.login("root", says(p.Code(t, "root", 0), codes[n], codes[n])), TooMany, "policy.attempts.per_login")
		if n, _, err := p.split("root", "secret"+codes[n]); n != len(codes[0]) || err != nil {
			t.Errorf("a break-glass code behind a password: %d, %v", n, err)
		}
		p.Peer = ""
	}
	// It leads there again, but that knows nothing of the move.
	p.Config.Ledger.Prefix = "otpgate/0/"
	forgetful := casledger.New(noRegisters{}, casledger.LimitsOf(time.Minute))
	forgetful.After(p.Config.Paths.State)
	p.Ledger = forgetful
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Fault, "ledger")
	expect(t, p.login("root", says(codes[3])), Accept, "break-glass")
	// Nothing of it counts where the ledger does.
	p.Ledger = running
	expect(t, p.login("root", says(p.Code(t, "root", 0))), Accept, "totp:phone")
}

// noRegisters are those of an etcd that was set up anew.
type noRegisters struct{}

func (noRegisters) Get(context.Context, string) (casledger.Register, error) {
	return casledger.Register{}, nil
}

func (noRegisters) Swap(context.Context, string, int64, []byte, time.Duration) (bool, casledger.Register, error) {
	return true, casledger.Register{}, nil
}

func (noRegisters) Close() error { return nil }
