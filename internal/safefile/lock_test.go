package safefile

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever waits in vain for a lock is told what to look for.
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

// held is the lock of what anybody may open, as a local user has it who wants to keep
// commands from their work.
func held(t *testing.T, path string) {
	t.Helper()
	stranger, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Close() })
	if err := unix.Flock(int(stranger.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
}

// Where others may read the directory, they have no lock that anybody waits for.
func TestLockInOthersDirectory(t *testing.T) {
	path := t.TempDir()
	held(t, path)
	dir := openDir(t, path)
	for range 2 {
		unlock, err := LockIn(dir)
		if err != nil {
			t.Fatal(err)
		}
		again, err := OpenIn(dir, lockName, unix.O_RDWR, Rules{Forbidden: 0o077})
		if err != nil {
			t.Fatal(err)
		}
		if err := lockFD(again.fd, again.Name(), 0); !errors.Is(err, unix.EWOULDBLOCK) || !strings.Contains(err.Error(), path+"/.lock: ") {
			t.Errorf("a second one: %v", err)
		}
		unlock()
		if err := lockFD(again.fd, again.Name(), 0); err != nil {
			t.Error(err)
		}
		_ = again.Close()
	}
	if err := os.Chmod(path+"/.lock", 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LockIn(dir); !errors.Is(err, ErrUnsafe) {
		t.Errorf("one that others can open: %v", err)
	}
}
