package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Where everybody has names, each directory on the way is held open until the
// next one is; elsewhere looking at it is enough.
func TestSharedDirectoryOnTheWay(t *testing.T) {
	for parent, want := range map[string]error{"/tmp": errShared, "/run": nil} {
		top, err := os.MkdirTemp(parent, "safefile")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(top) })
		path := filepath.Join(top, "users")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := checkAbove(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, expected %v", path, err, want)
		}
		place, err := CheckServiceDir(path)
		if err != nil || (place.open != nil) != (want != nil) {
			t.Errorf("%s: open %v, %v", path, place.open != nil, err)
		}
		for name, open := range map[string]func() (*File, error){
			"OpenDir": func() (*File, error) { return OpenDir(path) }, "OpenServiceDir": func() (*File, error) { return OpenServiceDir(path) },
		} {
			dir, err := open()
			if err != nil || dir.Name() != path {
				t.Errorf("%s of %s: %v", name, path, err)
			}
			dir.Close()
		}
		for name, call := range map[string]func(name string) error{
			"Look":    func(name string) error { _, err := place.Look(name); return err },
			"OpenDir": func(name string) error { dir, err := place.OpenDir(name); dir.Close(); return err },
		} {
			if err := call("absent"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s in %s: %v", name, path, err)
			}
		}
		if err := place.Close(); err != nil {
			t.Error(err)
		}
		// What was right may be spoiled on either way.
		if err := os.Chmod(top, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := CheckServiceDir(path); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s, which others may write: %v", top, err)
		}
	}
}
