package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/testwait"
)

// everyKeyCounts has several stores count at the same new keys.
func everyKeyCounts(t *testing.T, stores ...*ledger.Files) {
	t.Helper()
	const keys, each = 20, 5
	var workers sync.WaitGroup
	for i := range keys {
		key := ledger.Key{Kind: ledger.User, Name: fmt.Sprintf("user%d", i)}
		for _, store := range stores {
			workers.Go(func() {
				for range each {
					if err := store.Update(t.Context(), key, addOne); err != nil {
						t.Errorf("%s: %v", key.Name, err)
					}
					if _, err := store.View(t.Context(), key); err != nil {
						t.Errorf("%s: %v", key.Name, err)
					}
				}
			})
		}
	}
	workers.Wait()
	for i := range keys {
		entry, err := stores[0].View(t.Context(), ledger.Key{Kind: ledger.User, Name: fmt.Sprintf("user%d", i)})
		if err != nil || entry.Attempts.Wrong != each*len(stores) {
			t.Errorf("user%d: %d counted, %v; want %d", i, entry.Attempts.Wrong, err, each*len(stores))
		}
	}
}

// Where a file cannot be renamed without replacing another one, records are
// made all the same, and nobody's is replaced.
func TestWithoutRenameNew(t *testing.T) {
	dir := t.TempDir()
	stores := []*ledger.Files{newStore(t, dir), newStore(t, dir), newStore(t, dir)}
	for _, store := range stores {
		store.NoRenameNew()
	}
	everyKeyCounts(t, stores...)
	if names := list(t, filepath.Join(dir, "users")); len(names) != 20 {
		t.Errorf("files %q, expected those of 20 users", names)
	}
}

// The same on a real file system of that kind.
func TestOnFUSE(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	below, dir := t.TempDir(), t.TempDir()
	run(t, "mount", "--make-rprivate", "/")
	daemon := exec.Command("bindfs", "-f", below, dir)
	daemon.Stderr = os.Stderr
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	mounted(t, dir)
	probe := filepath.Join(dir, "probe")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, probe, unix.AT_FDCWD, probe+"2", unix.RENAME_NOREPLACE); !errors.Is(err, unix.EINVAL) {
		t.Fatalf("the file system can rename without replacing (%v): it is of no use here", err)
	}
	state := filepath.Join(dir, "state")
	everyKeyCounts(t, newStore(t, state), newStore(t, state))
	if err := ledger.TryNew(t.Context(), state); err != nil {
		t.Error(err)
	}
	// What is removed while it is open has another name until bindfs has heard of the
	// end, which close(2) does not wait for.
	testwait.Until(t, "the files of 20 users alone", func() bool { return len(list(t, filepath.Join(state, "users"))) == 20 })
}

// mounted waits until another file system is at dir.
func mounted(t *testing.T, dir string) {
	t.Helper()
	testwait.Until(t, "bindfs is mounted", func() bool {
		var at unix.Statfs_t
		const fuse = 0x65735546
		if err := unix.Statfs(dir, &at); err != nil {
			t.Fatal(err)
		}
		return at.Type == fuse
	})
}

// The doctor leaves nothing behind, and says what is the matter.
func TestTryNew(t *testing.T) {
	dir := t.TempDir()
	if err := ledger.TryNew(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if names := list(t, filepath.Join(dir, "users")); len(names) != 0 {
		t.Errorf("%q is left behind", names)
	}
	if err := os.Remove(filepath.Join(dir, "users")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "users"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ledger.TryNew(t.Context(), dir); err == nil {
		t.Error("a file in the place of the directory was not noticed")
	}
}
