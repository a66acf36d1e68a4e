package ledger_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/ledger"
)

// A process that has been stopped keeps its lock. A command that nobody gave an end
// gives up, and says how to find that process.
func TestLockIsNotWaitedForWithoutEnd(t *testing.T) {
	dir := t.TempDir() + "/state"
	store, key := newStore(t, dir), ledger.UserKey("alice")
	guess := func(e *ledger.Entry) error { e.Attempts.Wrong++; return nil }
	update(t, store, key, guess)
	record, err := os.OpenFile(dir+"/users/alice", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	if err := unix.Flock(int(record.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		err := store.Update(context.Background(), key, guess)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), dir+"/users/alice") || !strings.Contains(err.Error(), "which lslocks shows") {
			t.Errorf("expected an error that names the record and lslocks, found %v", err)
		}
	})
	if err := record.Close(); err != nil {
		t.Fatal(err)
	}
	update(t, store, key, guess)
	if n := wrong(t, store, key); n != 2 {
		t.Errorf("expected 2 wrong codes, found %d", n)
	}
}
