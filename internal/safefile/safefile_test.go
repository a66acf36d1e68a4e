package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func openDir(t *testing.T, path string) *File {
	t.Helper()
	dir, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func TestReadAndReplace(t *testing.T) {
	path := t.TempDir()
	dir := openDir(t, path)
	for _, text := range []string{"one", "two, longer", ""} {
		if err := Replace(dir, "file", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := Read(filepath.Join(path, "file"), Rules{Forbidden: 0o077, MaxSize: 100})
		if err != nil || string(data) != text {
			t.Errorf("%q, %v", data, err)
		}
	}
	if _, err := Read(filepath.Join(path, "absent"), Rules{MaxSize: 100}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if err := Remove(dir, "file"); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(path); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestReplaceGivesTheDirectorysOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := openDir(t, path)
	if err := os.Chown(path, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	old := unix.Umask(0)
	defer unix.Umask(old)
	if err := Replace(dir, "file", []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(path, "file"), &st); err != nil || st.Uid != 4711 || st.Gid != 4712 || st.Mode&0o7777 != 0o640 {
		t.Errorf("%d:%d %o, %v", st.Uid, st.Gid, st.Mode, err)
	}
}

// TestReplaceThroughALinkReplacesTheLink shows that nothing outside is written.
func TestReplaceThroughALinkReplacesTheLink(t *testing.T) {
	path := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(path, "file")); err != nil {
		t.Fatal(err)
	}
	if err := Replace(openDir(t, path), "file", []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(outside); string(data) != "mine" {
		t.Errorf("written through the link: %q", data)
	}
	var st unix.Stat_t
	if err := unix.Stat(outside, &st); err != nil || st.Uid != 0 || st.Mode&0o777 != 0o644 {
		t.Errorf("changed through the link: %+v, %v", st, err)
	}
}

func TestReadersSeeOldOrNewOnly(t *testing.T) {
	path := t.TempDir()
	dir := openDir(t, path)
	texts := []string{strings.Repeat("a", 5000), strings.Repeat("b", 9000)}
	if err := Replace(dir, "file", []byte(texts[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				data, err := Read(filepath.Join(path, "file"), Rules{Forbidden: 0o077, MaxSize: 10000})
				if err != nil || (string(data) != texts[0] && string(data) != texts[1]) {
					t.Errorf("%d bytes, %v", len(data), err)
					return
				}
			}
		})
	}
	for i := range 200 {
		if err := Replace(dir, "file", []byte(texts[i%2]), 0o600); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	group.Wait()
}

func TestNamesStayInTheDirectory(t *testing.T) {
	dir := openDir(t, t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd"} {
		if _, err := OpenIn(dir, name, unix.O_RDONLY, Rules{}); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := OpenDir("relative/path"); !errors.Is(err, ErrUnsafe) {
		t.Errorf("relative: %v", err)
	}
}

func TestStickyDirectoryIsAccepted(t *testing.T) {
	top := t.TempDir()
	if err := os.Chmod(top, 0o1777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(top, "own")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	openDir(t, own)
	if err := os.Chown(own, 4711, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(own); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "owned by uid 4711") {
		t.Errorf("%v", err)
	}
}

func TestDevicesAndSocketsAreRefused(t *testing.T) {
	path := t.TempDir()
	dir := openDir(t, path)
	if err := unix.Mknod(filepath.Join(path, "socket"), unix.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(path, "fifo"), unix.S_IFIFO|0o600, 0); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"socket": syscall.ENXIO, "fifo": ErrUnsafe} {
		if _, err := ReadIn(dir, name, Rules{MaxSize: 10}); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A new file is whole or not there, takes no other's place, and nobody else's turn.
func TestPutNew(t *testing.T) {
	path := t.TempDir()
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	dir, nothing := openDir(t, path), func() error { return nil }
	// What a killed one left.
	if err := os.WriteFile(filepath.Join(path, temporaryPrefix+"key"), []byte("half of"), 0o600); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	if err := PutNew(dir, "key", []byte("first"), 0o400, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a step that failed: %v", err)
	}
	if left, err := os.ReadDir(path); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	other := openDir(t, path)
	if err := PutNew(dir, "key", []byte("first"), 0o400, func() error {
		return PutNew(other, "key", []byte("second"), 0o400, nothing)
	}); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("two at once: %v", err)
	}
	if err := PutNew(dir, "other", []byte("first"), 0o400, func() error {
		return os.WriteFile(filepath.Join(path, "other"), []byte("mine"), 0o600)
	}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("beside one that takes no lock: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(path, "other")); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
	if err := PutNew(dir, "key", []byte("first"), 0o400, nothing); err != nil {
		t.Fatal(err)
	}
	called := func() error { t.Error("called"); return nil }
	if err := PutNew(dir, "key", []byte("second"), 0o400, called); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	if text, err := ReadIn(dir, "key", Rules{Forbidden: 0o377, MaxSize: 10}); err != nil || string(text) != "first" {
		t.Errorf("%q, %v", text, err)
	}
}
