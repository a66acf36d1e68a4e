package ledger_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

func inode(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

// TestHostileRecord puts things where alice's record should be. View and
// Update name the path and fail at once, and nothing is written anywhere.
func TestHostileRecord(t *testing.T) {
	needRoot(t)
	tests := []struct {
		name  string
		plant func(record, outside string) error
		want  error
	}{
		{"link to a record", func(record, outside string) error { return os.Symlink(outside, record) }, safefile.ErrUnsafe},
		{"link to nothing", func(record, _ string) error { return os.Symlink("/nonexistent", record) }, safefile.ErrUnsafe},
		{"hard link", func(record, outside string) error { return os.Link(outside, record) }, safefile.ErrUnsafe},
		{"FIFO", func(record, _ string) error { return syscall.Mkfifo(record, 0o600) }, nil},
		{"directory", func(record, _ string) error { return os.Mkdir(record, 0o700) }, nil},
		{"group may read", copied(0o640, 0), safefile.ErrUnsafe},
		{"all may write", copied(0o606, 0), safefile.ErrUnsafe},
		{"other owner", copied(0o600, 65534), safefile.ErrUnsafe},
		{"empty", func(record, _ string) error { return os.WriteFile(record, nil, 0o600) }, ledger.ErrDamaged},
		{"text", func(record, _ string) error { return os.WriteFile(record, []byte("hello"), 0o600) }, ledger.ErrDamaged},
		{"zeros", func(record, _ string) error { return os.WriteFile(record, make([]byte, 8192), 0o600) }, ledger.ErrDamaged},
		{"huge", func(record, _ string) error {
			return errors.Join(os.WriteFile(record, nil, 0o600), os.Truncate(record, 1<<40))
		}, safefile.ErrUnsafe},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			denied(t, test.plant, test.want)
		})
	}
}

// denied plants something and looks that View and Update fail with want.
func denied(t *testing.T, plant func(record, outside string) error, want error) {
	t.Helper()
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	good := newStore(t, filepath.Join(dir, "good"))
	update(t, good, alice, addOne)
	copyFile(t, filepath.Join(dir, "good", "users", "alice"), outside)

	store := newStore(t, filepath.Join(dir, "state"))
	record := filepath.Join(dir, "state", "users", "alice")
	update(t, store, ledger.Key{Kind: ledger.User, Name: "bob"}, addOne)
	if err := plant(record, outside); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(outside)
	if err != nil {
		t.Fatal(err)
	}
	_, viewErr := store.View(t.Context(), alice)
	for _, err := range []error{viewErr, store.Update(t.Context(), alice, addLarge)} {
		if err == nil || !strings.Contains(err.Error(), record) || want != nil && !errors.Is(err, want) {
			t.Errorf("error is %v, expected %v with the path", err, want)
		}
	}
	after, err := os.ReadFile(outside)
	if err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("the file outside changed, %v", err)
	}
	if names := list(t, filepath.Join(dir, "state", "users")); !reflect.DeepEqual(names, []string{"alice", "bob"}) {
		t.Errorf("files are %q", names)
	}
}

// copied plants a good record with a wrong mode or owner.
func copied(mode os.FileMode, uid int) func(record, outside string) error {
	return func(record, outside string) error {
		data, err := os.ReadFile(outside)
		return errors.Join(err, os.WriteFile(record, data, mode), os.Chmod(record, mode), os.Chown(record, uid, 0))
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestHostileTemporary plants things where a new record is made.
func TestHostileTemporary(t *testing.T) {
	for _, before := range []int{0, 1} {
		for name, plant := range map[string]func(temporary, outside string) error{
			"link":      func(temporary, outside string) error { return os.Symlink(outside, temporary) },
			"hard link": func(temporary, outside string) error { return os.Link(outside, temporary) },
			"FIFO":      func(temporary, _ string) error { return syscall.Mkfifo(temporary, 0o600) },
		} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				outside := filepath.Join(dir, "outside")
				store := newStore(t, filepath.Join(dir, "state"))
				for range before {
					update(t, store, alice, addOne)
				}
				users := filepath.Join(dir, "state", "users")
				err := errors.Join(os.MkdirAll(users, 0o700), os.WriteFile(outside, []byte("outside"), 0o600),
					plant(filepath.Join(users, ".new-alice"), outside))
				if err != nil {
					t.Fatal(err)
				}
				if err := store.Update(t.Context(), alice, addLarge); !errors.Is(err, safefile.ErrUnsafe) {
					t.Errorf("error is %v, expected %v", err, safefile.ErrUnsafe)
				}
				if data, err := os.ReadFile(outside); string(data) != "outside" {
					t.Errorf("the file outside holds %q, %v", data, err)
				}
				if got := wrong(t, store, alice); got != before {
					t.Errorf("entry %d, expected %d", got, before)
				}
			})
		}
	}
}

// TestHostileDirectory makes the directory of users one that cannot be
// relied on.
func TestHostileDirectory(t *testing.T) {
	needRoot(t)
	for name, spoil := range map[string]func(users, moved string) error{
		"link":          func(users, moved string) error { return errors.Join(os.Rename(users, moved), os.Symlink(moved, users)) },
		"all may write": func(users, _ string) error { return os.Chmod(users, 0o777) },
		"other owner":   func(users, _ string) error { return os.Chown(users, 65534, 0) },
		"file": func(users, moved string) error {
			return errors.Join(os.Rename(users, moved), os.WriteFile(users, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store := newStore(t, dir+"/state")
			update(t, store, alice, addOne)
			if err := spoil(dir+"/state/users", dir+"/moved"); err != nil {
				t.Fatal(err)
			}
			if _, err := store.View(t.Context(), alice); err == nil {
				t.Error("view succeeds")
			}
			if err := store.Update(t.Context(), alice, addOne); err == nil {
				t.Error("update succeeds")
			}
		})
	}
}

func TestOpenFiles(t *testing.T) {
	dir := t.TempDir()
	newStore(t, dir+"/state")
	if info, err := os.Stat(dir + "/state"); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("state directory is %v, %v", info.Mode(), err)
	}
	if err := errors.Join(os.Symlink(dir+"/state", dir+"/link"), os.WriteFile(dir+"/file", nil, 0o600),
		os.Mkdir(dir+"/open", 0), os.Chmod(dir+"/open", 0o777)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir + "/link", dir + "/file", dir + "/open", dir + "/missing/state", dir + "/link/state", "state", ""} {
		if _, err := ledger.OpenFiles(name); err == nil || !strings.Contains(err.Error(), filepath.Clean(name)) {
			t.Errorf("opening %q gives %v, expected an error that names it", name, err)
		}
	}
}

// TestStateGone takes the whole memory away under a running process.
func TestStateGone(t *testing.T) {
	dir := t.TempDir() + "/state"
	store := newStore(t, dir)
	update(t, store, alice, addOne)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := store.View(t.Context(), alice); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("view gives %v, expected %v", err, fs.ErrNotExist)
	}
	if err := store.Update(t.Context(), alice, addOne); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("update gives %v, expected %v", err, fs.ErrNotExist)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root, to make files of another owner")
	}
}
