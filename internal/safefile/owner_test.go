package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A service's user, another one's, and somebody who logs in.
const service, other, person = 998, 997, 4711

// plant makes a directory or a file with that owner and mode.
func plant(t *testing.T, path string, dir bool, uid int, mode uint32) string {
	t.Helper()
	err := error(nil)
	if dir {
		err = os.Mkdir(path, 0o700)
	} else {
		err = os.WriteFile(path, []byte("text"), 0o600)
	}
	if err := errors.Join(err, os.Chown(path, uid, uid), unix.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

func serviceDir(t *testing.T) *File {
	t.Helper()
	dir, err := OpenServiceDir(plant(t, filepath.Join(t.TempDir(), "dir"), true, service, 0o700))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

// Whose directory is believed is up to who put it where it is.
func TestServiceDir(t *testing.T) {
	for name, test := range map[string]struct {
		above, aboveMode, dir, mode uint32
		good                        bool
	}{
		"root's":                           {0, 0o755, 0, 0o700, true},
		"a service's in root's":            {0, 0o755, service, 0o700, true},
		"a service's that others read":     {0, 0o755, service, 0o755, true},
		"a service's that others write":    {0, 0o755, service, 0o777, false},
		"a service's that its group does":  {0, 0o755, service, 0o770, false},
		"a service's in a sticky one":      {0, 0o1777, service, 0o700, false},
		"a service's where a group put it": {0, 0o775, service, 0o700, false},
		"a service's in its own":           {service, 0o755, service, 0o700, false},
		"a service's in another's":         {other, 0o755, service, 0o700, false},
		"a person's in root's, as a home":  {0, 0o755, person, 0o700, false},
		"a person's in a person's":         {person, 0o755, person, 0o700, false},
		"nobody's":                         {0, 0o755, 65534, 0o700, false},
	} {
		t.Run(name, func(t *testing.T) {
			above := plant(t, filepath.Join(t.TempDir(), "above"), true, int(test.above), test.aboveMode)
			path := plant(t, filepath.Join(above, "dir"), true, int(test.dir), test.mode)
			dir, err := OpenServiceDir(path)
			if (err == nil) != test.good || err != nil && !errors.Is(err, ErrUnsafe) {
				t.Errorf("expected it good: %v, found %v", test.good, err)
			}
			dir.Close()
			if dir, err := OpenDir(path); test.dir != 0 && err == nil {
				dir.Close()
				t.Error("OpenDir takes it")
			}
		})
	}
}

// In the directory only its owner is trusted, not even root: a file of root's
// may have been linked there.
func TestInServiceDir(t *testing.T) {
	dir := serviceDir(t)
	for uid, good := range map[int]bool{0: false, service: true, other: false, person: false} {
		file := plant(t, filepath.Join(dir.Name(), "file"), false, uid, 0o600)
		if data, err := ReadIn(dir, "file", Rules{Forbidden: 0o077, MaxSize: 10}); (err == nil) != good || good && string(data) != "text" {
			t.Errorf("file of %d: %q, %v", uid, data, err)
		}
		below := plant(t, filepath.Join(dir.Name(), "below"), true, uid, 0o700)
		opened, err := OpenDirIn(dir, "below")
		if (err == nil) != good {
			t.Errorf("directory of %d: %v", uid, err)
		}
		opened.Close()
		if err := errors.Join(os.Remove(file), os.Remove(below)); err != nil {
			t.Fatal(err)
		}
	}
	// In root's directory the same user is not trusted.
	roots := openDir(t, t.TempDir())
	plant(t, filepath.Join(roots.Name(), "file"), false, service, 0o600)
	if _, err := ReadIn(roots, "file", Rules{MaxSize: 10}); !errors.Is(err, ErrUnsafe) {
		t.Errorf("file of %d in root's directory: %v", service, err)
	}
}

// What root makes there belongs to the owner, whatever the umask.
func TestMadeForTheOwner(t *testing.T) {
	dir := serviceDir(t)
	old := unix.Umask(0)
	defer unix.Umask(old)
	file, err := CreateIn(dir, "file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range 2 { // made, then found
		below, err := MakeDirIn(dir, "below")
		if err != nil {
			t.Fatal(err)
		}
		below.Close()
	}
	if err := Replace(dir, "replaced", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]uint32{"file": 0o600, "below": 0o700, "replaced": 0o600} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir.Name(), name), &st); err != nil || st.Uid != service || st.Gid != service || st.Mode&0o7777 != mode {
			t.Errorf("%s: %d:%d %o, %v", name, st.Uid, st.Gid, st.Mode, err)
		}
	}
	// The thread is root's again.
	if uid, err := unix.SetfsuidRetUid(-1); err != nil || uid != 0 {
		t.Errorf("files are made as uid %d, %v", uid, err)
	}
}

// The owner replaces names all the time while root works there, as fast as it
// can. Nothing outside changes hands, content or mode, by whatever name.
func TestOwnerCannotLeadOutside(t *testing.T) {
	dir := serviceDir(t)
	outside := t.TempDir()
	target := plant(t, filepath.Join(outside, "target"), false, 0, 0o600)
	plant(t, filepath.Join(outside, "dir"), true, 0, 0o700)
	names := []string{"name", "linked"}
	var attacker sync.WaitGroup
	stop := make(chan struct{})
	defer attacker.Wait()
	defer close(stop)
	attacker.Go(func() {
		at := func(name string) string { return filepath.Join(dir.Name(), name) }
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			name := at(names[n%2])
			// Most of these fail at some time: names are there or gone.
			_ = os.Symlink(filepath.Join(outside, []string{"target", "dir", "nothing"}[n%3]), at("draft"))
			_ = os.Rename(at("draft"), name)
			_ = os.Remove(name)
			_ = os.Link(target, name)
			_ = os.Remove(name)
		}
	})
	for n := range 3000 {
		name := names[n%2]
		file, err := OpenIn(dir, name, unix.O_RDWR, Rules{Forbidden: 0o077, MaxSize: 100})
		if err == nil {
			_, err = file.WriteAt([]byte("root was here"), 0)
			file.Close()
		}
		_ = err // which of them succeed is chance
		if file, err := CreateIn(dir, name); err == nil {
			file.Close()
		}
		if below, err := MakeDirIn(dir, name); err == nil {
			below.Close()
		}
		if n%100 == 0 { // it waits for the disk
			_ = Replace(dir, name, []byte("root was here"), 0o600)
		}
		_ = unlink(dir, name)
	}
	expectUntouched(t, outside)
}

func expectUntouched(t *testing.T, outside string) {
	t.Helper()
	for name, mode := range map[string]uint32{"target": unix.S_IFREG | 0o600, "dir": unix.S_IFDIR | 0o700} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(outside, name), &st); err != nil || st.Uid != 0 || st.Mode != mode {
			t.Errorf("%s: uid %d mode %o, %v", name, st.Uid, st.Mode, err)
		}
	}
	if data, err := os.ReadFile(filepath.Join(outside, "target")); string(data) != "text" {
		t.Errorf("the file outside holds %q, %v", data, err)
	}
	if entries, err := os.ReadDir(outside); len(entries) != 2 {
		t.Errorf("outside is %v, %v", entries, err)
	}
}
