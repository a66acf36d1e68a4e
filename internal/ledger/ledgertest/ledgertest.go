// Package ledgertest tests that a [ledger.Store] keeps the promises of package
// ledger. Whoever writes a store calls [Run] from a test and [Main] from
// TestMain, which lets the suite use the store from other processes too.
//
// The suite asks for no more than the promises: a store may lock or may try
// again, so a second Update of a busy key may wait or succeed at once.
package ledgertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// Open opens the store at an address, which is a directory or whatever else
// names it. Opened twice, also in two processes, it is the same store.
type Open func(address string) (ledger.Store, error)

// patience is for a worker, which must not outlive the test for long. The tests
// themselves wait as long as go test lets them: how busy the machine is says nothing of
// a store.
const patience = 10 * time.Minute

// Run tests stores. fresh gives the address of a new, empty one.
func Run(t *testing.T, fresh func(t *testing.T) string, open Open) {
	tests := []struct {
		name string
		run  func(*testing.T, suite)
	}{
		{"NeverUsed", neverUsed},
		{"KeepsEveryField", keepsEveryField},
		{"CountsAcrossGoroutines", countsAcrossGoroutines},
		{"CountsAcrossProcesses", countsAcrossProcesses},
		{"GrowsAcrossGoroutines", growsAcrossGoroutines},
		{"OneWins", oneWins},
		{"SurvivesKill", survivesKill},
		{"ErrorOfChange", errorOfChange},
		{"EntryIsOwnCopy", entryIsOwnCopy},
		{"NoChange", noChange},
		{"BackToZero", backToZero},
		{"BackToZeroWhileOthersWait", backToZeroWhileOthersWait},
		{"BusyKey", busyKey},
		{"ViewIsNeverStaleNorAhead", viewIsNeverStaleNorAhead},
		{"LargeEntry", largeEntry},
		{"OddNames", oddNames},
		{"RefusedKeys", refusedKeys},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, suite{address: fresh(t), open: open})
		})
	}
}

type suite struct {
	address string
	open    Open
}

// store opens the store once more.
func (s suite) store(t *testing.T) ledger.Store {
	t.Helper()
	store, err := s.open(s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// add counts one more wrong code.
func add(entry *ledger.Entry) error {
	entry.Attempts.Wrong++
	return nil
}

// Main is for TestMain: it runs the tests, or, in a process that the suite has
// started, works on the store.
func Main(m *testing.M, open Open) int {
	return testprogram.Main(m, func(arguments []string) error { return work(arguments[0], open, arguments[1]) })
}

// work does what the parent asked for: a number of additions, or "kill".
func work(address string, open Open, what string) error {
	store, err := open(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if what == "kill" {
		if err := store.Update(ctx, alice, add); err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	times, err := strconv.Atoi(what)
	for range times {
		err = errors.Join(err, store.Update(ctx, alice, add))
	}
	return errors.Join(err, store.Close())
}

// worker gives a command that works on the store from its own process.
func (s suite) worker(what string) (*exec.Cmd, *strings.Builder) {
	return testprogram.Worker(s.address, what)
}
