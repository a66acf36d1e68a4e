package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgertest"
)

func TestFilesKeepThePromises(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) string { return t.TempDir() + "/state" }, openFiles)
}

func openFiles(dir string) (ledger.Store, error) { return ledger.OpenFiles(dir) }

func newStore(t testing.TB, dir string) *ledger.Files {
	t.Helper()
	files, err := ledger.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func update(t testing.TB, store ledger.Store, key ledger.Key, change func(*ledger.Entry) error) {
	t.Helper()
	if err := store.Update(context.Background(), key, change); err != nil {
		t.Fatal(err)
	}
}

func wrong(t testing.TB, store ledger.Store, key ledger.Key) int {
	t.Helper()
	entry, err := store.View(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	return entry.Attempts.Wrong
}

func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// snapshot gives mode, inode, time of change and contents of all files.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = fmt.Sprintf("%v %v %+v %x", info.Mode(), info.ModTime(), inode(info), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNeighboursUntouched is oath-toolkit's usersfile the other way round: a
// login changes its own record and not one byte of anybody else's.
func TestNeighboursUntouched(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t, dir)
	for _, kind := range []ledger.Kind{ledger.User, ledger.Source} {
		for _, name := range []string{"alice", "Alice", "alicia", "bob", "alice/", "..alice"} {
			update(t, store, ledger.Key{Kind: kind, Name: name}, addOne)
		}
	}
	want := snapshot(t, dir)
	update(t, store, alice, addOne)
	update(t, store, alice, addLarge)
	got := snapshot(t, dir)
	own := filepath.Join(dir, "users", "alice")
	if got[own] == want[own] {
		t.Error("alice's own record did not change")
	}
	delete(got, own)
	delete(want, own)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("other records changed:\n%v\n%v", got, want)
	}
}

func TestNoChangeWritesNothing(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t, dir)
	nothing := func(*ledger.Entry) error { return nil }
	update(t, store, alice, nothing)
	if names := list(t, dir); len(names) != 0 {
		t.Errorf("an Update without a change made %q", names)
	}
	update(t, store, alice, addOne)
	want := snapshot(t, dir)
	update(t, store, alice, nothing)
	if _, err := store.View(t.Context(), alice); err != nil {
		t.Error(err)
	}
	if got := snapshot(t, dir); !reflect.DeepEqual(got, want) {
		t.Errorf("files changed: %v, expected %v", got, want)
	}
}

// TestViewDuringWrite looks at an entry while it is in the file but not yet
// on disk.
func TestViewDuringWrite(t *testing.T) {
	store := newStore(t, t.TempDir())
	update(t, store, alice, addOne)
	seen := false
	store.SetFault(func(step string) error {
		if step == "slot written" {
			seen = true
			if got := wrong(t, store, alice); got != 1 {
				t.Errorf("view during the write shows %d, expected 1", got)
			}
		}
		return nil
	})
	update(t, store, alice, addOne)
	if got := wrong(t, store, alice); !seen || got != 2 {
		t.Errorf("view after the write shows %d, expected 2", got)
	}
}

// TestViewOfTornSlot has one slot torn while somebody holds the lock. The
// other may then be outdated, so there is no telling before they are done.
func TestViewOfTornSlot(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t, dir)
	update(t, store, alice, addOne)
	update(t, store, alice, addOne)
	store.SetFault(func(step string) error {
		if step == "slot locked" {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := store.View(ctx, alice); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("view gives %v, expected it to wait", err)
			}
		}
		return nil
	})
	if err := tearSlot(filepath.Join(dir, "users", "alice")); err != nil {
		t.Fatal(err)
	}
	if got := wrong(t, store, alice); got != 2 {
		t.Errorf("entry %d, expected 2", got)
	}
	update(t, store, alice, addOne)
}

// TestWaitingLeavesNothing has somebody give up waiting for the lock: then they have
// changed nothing.
func TestWaitingLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	store, other := newStore(t, dir), newStore(t, dir)
	update(t, store, alice, addOne)
	update(t, store, alice, func(entry *ledger.Entry) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := other.Update(ctx, alice, addOne); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("update gives %v, expected it to wait", err)
		}
		return addOne(entry)
	})
	if got := wrong(t, store, alice); got != 2 {
		t.Errorf("entry %d, expected 2", got)
	}
}

func TestTooLarge(t *testing.T) {
	store := newStore(t, t.TempDir())
	for want := range 2 {
		err := store.Update(t.Context(), alice, func(entry *ledger.Entry) error {
			entry.UsedHashes = []string{string(make([]byte, 70_000))}
			return nil
		})
		if err == nil {
			t.Fatal("an entry of 70000 bytes is stored")
		}
		if got := wrong(t, store, alice); got != want {
			t.Errorf("entry %d, expected %d", got, want)
		}
		update(t, store, alice, addOne)
	}
}
