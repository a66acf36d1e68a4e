package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/ledger"
)

var elsewhere = ledger.Moved{To: "etcd", Prefix: "otpgate/1/", ID: "0123456789abcdef", Begun: time.Unix(1_800_000_000, 0)}

func openMove(t *testing.T, dir string) *ledger.Move {
	t.Helper()
	m, err := ledger.OpenMove(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// take has all entries taken, and returns them by their keys.
func take(t *testing.T, m *ledger.Move) map[ledger.Key]ledger.Entry {
	t.Helper()
	taken, err := tryTake(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func tryTake(ctx context.Context, m *ledger.Move) (map[ledger.Key]ledger.Entry, error) {
	taken := map[ledger.Key]ledger.Entry{}
	records, err := m.Records()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		key, err := r.Key(func() ([]string, error) { return nil, nil })
		if err == nil {
			err = m.Take(ctx, r, func(payload []byte) (err error) {
				taken[key], err = ledger.Decode(payload)
				return err
			})
		}
		if err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// isMoved says whether an error tells that the ledger was moved.
func isMoved(err error) bool {
	_, ok := errors.AsType[ledger.MovedError](err)
	return ok && strings.Contains(err.Error(), elsewhere.ID)
}

var movedKeys = []ledger.Key{alice, {Kind: ledger.Client, Name: "web1"}, {Kind: ledger.Link, Name: "00ff"}, {Kind: ledger.Invited, Name: "bob"}}

var ownKeys = []ledger.Key{{Kind: ledger.BreakGlass, Name: "root"}, {Kind: ledger.Source, Name: "192.0.2.1"}}

// expectMoved expects that nothing counts in dir but what is the machine's own, be it in
// store, which was opened before.
func expectMoved(t *testing.T, dir string, store *ledger.Files, when string, done bool) {
	t.Helper()
	for _, key := range append([]ledger.Key{ledger.UserKey("new")}, movedKeys...) {
		ran := false
		errUpdate := store.Update(t.Context(), key, func(entry *ledger.Entry) error { ran = true; return addOne(entry) })
		_, errView := store.View(t.Context(), key)
		if !isMoved(errUpdate) || !isMoved(errView) || ran {
			t.Errorf("%s, %v: %v, %v, ran %v", when, key, errUpdate, errView, ran)
		}
	}
	_, errOpen := ledger.OpenFiles(dir)
	_, errID := store.ID(t.Context())
	if !isMoved(errOpen) || !isMoved(errID) || strings.Contains(errOpen.Error(), "--undo") == done {
		t.Errorf("%s: %v, %v", when, errOpen, errID)
	}
	if err := ledger.CheckLeft(dir, elsewhere.Prefix); (err == nil) != done {
		t.Errorf("%s: %v", when, err)
	}
	machines, err := ledger.OpenOwn(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := machines.Update(t.Context(), alice, addOne); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("%s, not the machine's own: %v", when, err)
	}
	for _, key := range ownKeys {
		update(t, store, key, addOne)
		update(t, machines, key, addOne)
	}
	if err := ledger.TryNew(t.Context(), dir); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

// From the moment of a move nothing counts here any more, for a program that has the
// ledger open, be it of a key that has no entry yet, and for one that opens it. What is
// the machine's own goes on.
func TestMoved(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t, dir)
	for _, key := range slices.Concat(ownKeys, movedKeys) {
		update(t, store, key, addOne)
	}
	if err := ledger.CheckLeft(dir, elsewhere.Prefix); !errors.As(err, new(ledger.LeftError)) {
		t.Errorf("before: %v", err)
	}
	m := openMove(t, dir)
	begin := func() {
		t.Helper()
		if err := m.Begin(elsewhere); err != nil {
			t.Fatal(err)
		}
	}
	denied := func(when string, done bool) { t.Helper(); expectMoved(t, dir, store, when, done) }
	begin()
	denied("begun", false)
	if taken := take(t, m); len(taken) != len(movedKeys)+1 || taken[alice].Attempts.Wrong != 1 {
		t.Errorf("taken: %v", taken)
	}
	denied("taken", false)
	if err := os.Remove(filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	for _, key := range movedKeys { // by hand, or by an older program
		if _, err := store.View(t.Context(), key); !errors.Is(err, ledger.ErrMoved) {
			t.Errorf("without the file: %v", err)
		}
	}
	begin()
	if taken := take(t, m); len(taken) != 1 {
		t.Errorf("taken again: %v", taken)
	}
	if err := m.Finish(); err != nil {
		t.Fatal(err)
	}
	denied("done", true)
	if err := m.Undo(t.Context(), func(ledger.Record, error) {}); err == nil {
		t.Error("a move that is done was undone")
	}
	if err := m.Take(t.Context(), ledger.Record{}, nil); err == nil {
		t.Error("taken after the end")
	}
}

// A move that is not done can be taken back: everything counts again as it was. A
// damaged entry does not keep the others.
func TestMoveUndone(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t, dir)
	large := ledger.UserKey("large")
	for _, key := range movedKeys {
		update(t, store, key, addOne)
	}
	update(t, store, large, func(entry *ledger.Entry) error {
		entry.UsedHashes = []string{strings.Repeat("x", 4096-64-3)} // there is no room for more in the slot
		return nil
	})
	if err := os.WriteFile(filepath.Join(dir, "users", "broken"), []byte("no entry"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := store.View(t.Context(), large)
	if err != nil {
		t.Fatal(err)
	}
	id, err := store.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := openMove(t, dir)
	if err := m.Begin(elsewhere); err != nil {
		t.Fatal(err)
	}
	records, err := m.Records()
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, r := range records {
		if err := m.Take(t.Context(), r, func([]byte) error { return nil }); err != nil {
			bad++
		}
	}
	if bad != 1 {
		t.Errorf("%d of %d could not be taken", bad, len(records))
	}
	bad = 0
	if err := m.Undo(t.Context(), func(r ledger.Record, err error) {
		if err != nil && r.String() == "users/broken" {
			bad++
		}
	}); err != nil || bad != 1 {
		t.Errorf("undone: %v, %d damaged", err, bad)
	}
	for _, key := range movedKeys {
		update(t, store, key, addOne)
		if got := wrong(t, newStore(t, dir), key); got != 2 {
			t.Errorf("%v: %d", key, got)
		}
	}
	if after, err := store.View(t.Context(), large); err != nil || after.UsedHashes[0] != before.UsedHashes[0] {
		t.Errorf("the large one: %v", err)
	}
	if again, err := store.ID(t.Context()); err != nil || again != id {
		t.Errorf("id %s, then %s, %v", id, again, err)
	}
}

// A change that is under way when a move begins is copied, or is refused. Here it begins
// at each step of making a record and of changing one.
func TestMoveDuringAChange(t *testing.T) {
	for _, before := range []int{0, 1} {
		for _, step := range append(makeSteps, "slot locked", "slot written") {
			if before > 0 && step != "slot locked" && step != "slot written" {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", before, step), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				store := newStore(t, dir)
				for range before {
					update(t, store, alice, addOne)
				}
				m := openMove(t, dir)
				var taking sync.WaitGroup
				var taken map[ledger.Key]ledger.Entry
				var errTake error
				store.SetFault(func(name string) error {
					if name != step {
						return nil
					}
					if err := m.Begin(elsewhere); err != nil {
						return err
					}
					// It waits for this change, if it sees it.
					taking.Go(func() { taken, errTake = tryTake(t.Context(), m) })
					return nil
				})
				err := store.Update(t.Context(), alice, addOne)
				taking.Wait()
				if errTake != nil {
					t.Error(errTake)
				}
				want := before
				if err == nil {
					want++
				} else if !isMoved(err) {
					t.Errorf("refused: %v", err)
				}
				if got := taken[alice].Attempts.Wrong; got != want {
					t.Errorf("%d was copied, expected %d as the change ended with %v", got, want, err)
				}
				if _, err := store.View(t.Context(), alice); !isMoved(err) {
					t.Errorf("afterwards: %v", err)
				}
			})
		}
	}
}

// Who may not see whether there are entries here may not use another ledger beside them.
func TestLeftUnseen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	update(t, newStore(t, dir), alice, addOne)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := unix.SetfsuidRetUid(65534); err != nil {
		t.Fatal(err)
	}
	err := ledger.CheckLeft(dir, elsewhere.Prefix)
	if _, back := unix.SetfsuidRetUid(0); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, ledger.ErrUnreachable) || !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
}

// One process at a time moves a ledger.
func TestMoveAlone(t *testing.T) {
	dir := t.TempDir()
	free := func() error {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	m := openMove(t, dir)
	if err := free(); err != unix.EWOULDBLOCK {
		t.Errorf("while it is moved: %v", err)
	}
	m.Close()
	if err := free(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Each name is known again by its file, if a name is too long by those that are known.
func TestKeyOfARecord(t *testing.T) {
	long := strings.Repeat("ä", 60)
	dir := t.TempDir()
	store := newStore(t, dir)
	names := []string{"alice", "DOMAIN\\alice", ".hidden", "-rf", "a/b", "100%", "~x", "\x00\xff", long}
	for _, name := range names {
		update(t, store, ledger.UserKey(name), addOne)
	}
	for _, odd := range []string{"%41", "%4", "alice~", "x%2g"} {
		if err := os.WriteFile(filepath.Join(dir, "users", odd), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	records, err := openMove(t, dir).Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range [][]string{nil, {"bob", long}} {
		found, refused := map[string]bool{}, 0
		for _, r := range records {
			key, err := r.Key(func() ([]string, error) { return known, nil })
			if err != nil {
				refused++
			} else if key.Kind == ledger.User {
				found[key.Name] = true
			}
		}
		if want := len(names) - 1 + len(known)/2; len(found) != want || refused != len(records)-want || found[long] != (known != nil) {
			t.Errorf("known %v: found %v, %d refused", known, found, refused)
		}
	}
}

// A file that somebody changed is not believed, and keeps the ledger shut.
func TestMovedByHand(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t, dir)
	m := openMove(t, dir)
	if err := m.Begin(elsewhere); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "moved")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"", "x", string(text) + "\n", strings.Replace(string(text), "moving", "finished", 1), strings.TrimSuffix(string(text), "\n")} {
		if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		_, errOpen := ledger.OpenFiles(dir)
		for _, err := range []error{errOpen, store.Update(t.Context(), alice, addOne), ledger.CheckLeft(dir, elsewhere.Prefix)} {
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%q: %v", other, err)
			}
		}
	}
	if err := m.Begin(ledger.Moved{To: "etcd", Prefix: "a\nb", ID: elsewhere.ID}); err == nil {
		t.Error("two lines in one")
	}
}
