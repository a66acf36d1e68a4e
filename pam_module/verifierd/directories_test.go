package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/wire"
)

// spoils are what can happen to a directory between two looks at it, and how
// it is mended again.
var spoils = []struct {
	name        string
	spoil, mend func(path string) error
}{
	{"others may write", func(path string) error { return os.Chmod(path, 0o777) }, func(path string) error { return os.Chmod(path, 0o755) }},
	{"its group may write", func(path string) error { return os.Chmod(path, 0o775) }, func(path string) error { return os.Chmod(path, 0o755) }},
	{"somebody else's", func(path string) error { return os.Chown(path, 4711, 0) }, func(path string) error { return os.Chown(path, 0, 0) }},
	{"a link to what was there",
		func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		},
		func(path string) error { return errors.Join(os.Remove(path), os.Rename(path+".real", path)) }},
	{"a file",
		func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.WriteFile(path, nil, 0o600))
		},
		func(path string) error { return errors.Join(os.Remove(path), os.Rename(path+".real", path)) }},
	{"gone",
		func(path string) error { return os.Rename(path, path+".real") },
		func(path string) error { return os.Rename(path+".real", path) }},
}

// aged waits until a file that has just been written counts as one that has
// not changed for a while, which need not be read again.
func aged() { time.Sleep(3100 * time.Millisecond) }

// Each look at a directory is a new one: at the next login, and when the code
// comes. Nothing is believed for having been right before.
func TestDirectoriesChange(t *testing.T) {
	for _, parent := range parents {
		t.Run("in "+parent, func(t *testing.T) { directoriesChange(t, parent) })
	}
}

// parents are a directory in which everybody has names, and root's own: the
// way through them is not checked alike.
var parents = []string{"/tmp", "/run"}

func directoriesChange(t *testing.T, parent string) {
	r := newRigIn(t, parent, wide, unhurried)
	// One level more, whose loss does not take the configuration along.
	top := filepath.Join(r.dir, "top")
	users := filepath.Join(top, "users")
	if err := errors.Join(os.Mkdir(top, 0o755), os.Rename(r.users, users)); err != nil {
		t.Fatal(err)
	}
	r.users = users
	r.configure(t, wide)
	alice := r.enroll(t, "alice")
	aged()
	again := func(t *testing.T) {
		t.Helper()
		// There are only so many codes.
		alice.next = -9
		if err := os.RemoveAll(filepath.Join(r.dir, "state", "users")); err != nil {
			t.Fatal(err)
		}
		r.ask(t, alice, wire.Accept, "totp:phone")
	}
	for _, directory := range []struct{ path, blamed string }{
		{top, "secret-file"}, {users, "secret-file"}, {filepath.Join(r.dir, "state"), "ledger"}, {filepath.Join(r.dir, "state", "users"), "ledger"},
	} {
		for _, row := range spoils {
			last := filepath.Base(filepath.Dir(directory.path)) == "state"
			if row.name == "gone" && last {
				continue // nobody has logged in yet
			}
			t.Run(filepath.Base(directory.path)+", "+row.name, func(t *testing.T) {
				again(t)
				waiting := dial(t, r.socket)
				if err := waiting.open(r.start("alice")); err != nil {
					t.Fatal(err)
				}
				if _, _, err := waiting.read(); err != nil {
					t.Fatal(err)
				}
				if err := row.spoil(directory.path); err != nil {
					t.Fatal(err)
				}
				if err := waiting.reply(alice.code(t)); err != nil {
					t.Fatal(err)
				}
				if verdict, told, err := waiting.finish(); verdict != wire.Fault || err != nil {
					t.Errorf("who was typing: %v, %q, %v", verdict, told, err)
				}
				if line := r.log.take(t, 1)[0]; !strings.Contains(line.Rule, directory.blamed) {
					t.Errorf("log %+v, want %s", line, directory.blamed)
				}
				r.ask(t, alice, wire.Fault, directory.blamed)
				if err := row.mend(directory.path); err != nil {
					t.Fatal(err)
				}
				r.ask(t, alice, wire.Accept, "totp:phone")
			})
		}
	}
}

// Another directory in the place of the old one holds from the next look on,
// though file and person have the same names and the old file is as it was.
func TestDirectoryIsReplaced(t *testing.T) {
	for _, parent := range parents {
		t.Run("in "+parent, func(t *testing.T) { directoryIsReplaced(t, parent) })
	}
}

func directoryIsReplaced(t *testing.T, parent string) {
	r := newRigIn(t, parent, wide, unhurried)
	alice := r.enroll(t, "alice")
	other := r.users + ".other"
	text, err := os.ReadFile(filepath.Join(r.users, "alice.toml"))
	err = errors.Join(err, os.Mkdir(other, 0o700),
		os.WriteFile(filepath.Join(other, "alice.toml"), []byte(strings.Replace(string(text), "phone", "watch", 1)), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	aged()
	swap := func() {
		err := errors.Join(os.Rename(r.users, r.users+".away"), os.Rename(other, r.users), os.Rename(r.users+".away", other))
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		r.ask(t, alice, wire.Accept, "totp:phone")
		swap()
		r.ask(t, alice, wire.Accept, "totp:watch")
		waiting := dial(t, r.socket)
		if err := waiting.open(r.start("alice")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := waiting.read(); err != nil {
			t.Fatal(err)
		}
		swap()
		if err := waiting.reply(alice.code(t)); err != nil {
			t.Fatal(err)
		}
		if verdict, told, err := waiting.finish(); verdict != wire.Accept || err != nil {
			t.Errorf("%v, %q, %v", verdict, told, err)
		}
		if line := r.log.take(t, 1)[0]; line.Rule != "totp:phone" {
			t.Errorf("who was typing: %+v", line)
		}
	}
}

// A secret file may change twice within what a clock tells apart, and keep its
// size and the time of its last modification.
func TestSecretFileChangesWhileTyping(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	path := filepath.Join(r.users, "alice.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Of an old file, and of one that has just been written.
	for _, wait := range []func(){aged, func() {}} {
		wait()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		waiting := dial(t, r.socket)
		if err := waiting.open(r.start("alice")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := waiting.read(); err != nil {
			t.Fatal(err)
		}
		from, to := "phone", "watch"
		if strings.Contains(string(text), to) {
			from, to = to, from
		}
		text = []byte(strings.Replace(string(text), from, to, 1))
		err = errors.Join(os.WriteFile(path, text, 0o600), os.Chtimes(path, info.ModTime(), info.ModTime()))
		if err != nil {
			t.Fatal(err)
		}
		if err := waiting.reply(alice.code(t)); err != nil {
			t.Fatal(err)
		}
		if verdict, told, err := waiting.finish(); verdict != wire.Accept || err != nil {
			t.Errorf("%v, %q, %v", verdict, told, err)
		}
		if line := r.log.take(t, 1)[0]; line.Rule != "totp:"+to {
			t.Errorf("%+v, expected the new file's %s", line, to)
		}
	}
}
