package safefile

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever waits in vain for a lock is told what to look for: anybody who can read the
// directory can hold it.
func TestLockOfAnother(t *testing.T) {
	dir := openDir(t, t.TempDir())
	unlock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockWithin(dir, 0); !errors.Is(err, unix.EWOULDBLOCK) || !strings.Contains(err.Error(), "lock "+dir.Name()+": ") || !strings.Contains(err.Error(), "lslocks shows") {
		t.Errorf("%v", err)
	}
	unlock()
	if unlock, err = lockWithin(dir, 0); err != nil {
		t.Fatal(err)
	}
	unlock()
}
