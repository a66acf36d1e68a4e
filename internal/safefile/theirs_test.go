package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// home is a person's, with a file that everything else is held against.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// What go test makes above it is for root alone.
	for above := dir; above != os.TempDir() && above != "/"; above = filepath.Dir(above) {
		if err := os.Chmod(above, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return plant(t, filepath.Join(dir, "home"), true, person, 0o700)
}

var theirs = Rules{Forbidden: 0o077, MaxSize: 10}

func TestReadOf(t *testing.T) {
	dir := home(t)
	path := plant(t, filepath.Join(dir, "file"), false, person, 0o400)
	if data, err := ReadOf(path, person, person, theirs); err != nil || string(data) != "text" {
		t.Errorf("one's own: %q, %v", data, err)
	}
	if _, err := ReadOf(path, other, other, theirs); err == nil {
		t.Error("somebody else's was read")
	}
	if _, err := ReadOf(path, 0, 0, theirs); !errors.Is(err, ErrUnsafe) {
		t.Errorf("root's in somebody's home: %v", err)
	}
	if _, err := ReadOf(filepath.Join(dir, "none"), person, person, theirs); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if _, err := ReadOf("file", person, person, theirs); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a relative path: %v", err)
	}
	// The thread is root's again.
	if uid, err := unix.SetfsuidRetUid(-1); err != nil || uid != 0 {
		t.Errorf("files are opened as uid %d, %v", uid, err)
	}
}

// untrustworthy are files that must not be read, and what is said of them.
var untrustworthy = map[string]struct {
	make func(dir, path string) error
	want string // "" for a file that is just as it should be
}{
	"a link to one's own": {func(dir, path string) error { return os.Symlink("file", path) }, "symbolic link"},
	"a link to root's":    {func(dir, path string) error { return os.Symlink("/etc/shadow", path) }, "symbolic link"},
	"a link that dangles": {func(dir, path string) error { return os.Symlink("/nowhere", path) }, "symbolic link"},
	"root's": {func(dir, path string) error {
		return os.WriteFile(path, []byte("text"), 0o644)
	}, "owned by uid 0"},
	"root's that only root reads": {func(dir, path string) error { return os.WriteFile(path, []byte("text"), 0o600) }, "permission denied"},
	"a second name of root's": {func(dir, path string) error {
		from := filepath.Join(filepath.Dir(dir), "roots")
		return errors.Join(os.WriteFile(from, []byte("text"), 0o644), os.Link(from, path))
	}, "owned by uid 0"},
	"somebody's by way of a directory": {func(dir, path string) error {
		elsewhere := filepath.Join(filepath.Dir(dir), "elsewhere")
		return errors.Join(os.Mkdir(elsewhere, 0o755), os.WriteFile(filepath.Join(elsewhere, "file"), []byte("text"), 0o644),
			os.Chown(filepath.Join(elsewhere, "file"), other, other), os.RemoveAll(dir), os.Symlink(elsewhere, dir))
	}, "owned by uid 997"},
	"a directory": {func(dir, path string) error {
		return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, person, person))
	}, "a directory"},
	"a FIFO": {func(dir, path string) error {
		return errors.Join(unix.Mkfifo(path, 0o600), os.Chown(path, person, person))
	}, "a FIFO"},
	"a device": {func(dir, path string) error { return os.Symlink("/dev/zero", path) }, "symbolic link"},
	"others read it": {func(dir, path string) error {
		return errors.Join(os.WriteFile(path, []byte("text"), 0o644), os.Chown(path, person, person))
	}, "mode 0644"},
	"a group writes it": {func(dir, path string) error {
		return errors.Join(os.WriteFile(path, []byte("text"), 0o600), os.Chmod(path, 0o620), os.Chown(path, person, person))
	}, "mode 0620"},
	"it is large": {func(dir, path string) error {
		return errors.Join(os.WriteFile(path, []byte("text and more"), 0o600), os.Chown(path, person, person))
	}, "expected at most 10"},
	"a second name of one's own": {func(dir, path string) error { return os.Link(filepath.Join(dir, "file"), path) }, ""},
}

// A person may put anything in the place of the file, and of the directories on
// the way to it: nothing that is not the person's own is read, and nobody waits.
func TestReadOfRefuses(t *testing.T) {
	for name, test := range untrustworthy {
		t.Run(name, func(t *testing.T) {
			dir := home(t)
			plant(t, filepath.Join(dir, "file"), false, person, 0o600)
			path := filepath.Join(dir, "asked")
			if strings.Contains(name, "directory") && strings.Contains(name, "way") {
				path = filepath.Join(dir, "file")
			}
			if err := test.make(dir, path); err != nil {
				t.Fatal(err)
			}
			data, err := ReadOf(path, person, person, theirs)
			if test.want == "" && (err != nil || string(data) != "text") {
				t.Errorf("%q, %v", data, err)
			}
			if err != nil && strings.Contains(err.Error(), "as the directory is") {
				t.Errorf("it goes by the directory, which is anybody's: %v", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || len(data) > 0) {
				t.Errorf("%q, %v, want %q", data, err, test.want)
			}
		})
	}
}
