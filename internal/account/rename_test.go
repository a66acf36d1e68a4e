package account

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// A rename takes the secrets along: they are encrypted for the new name.
func TestRenameEncrypted(t *testing.T) {
	key, _ := newKey(t)
	none := func(Person) (bool, error) { return true, nil }
	nothing := func(Person) error { return nil }
	moved := func(*Person) error { return nil }
	for what, by := range map[string]func(t *testing.T, dir *Dir) func(*Person) error{
		"by command": func(*testing.T, *Dir) func(*Person) error { return moved },
		"killed":     func(*testing.T, *Dir) func(*Person) error { return func(*Person) error { return errors.New("killed") } },
		"moved by hand": func(t *testing.T, dir *Dir) func(*Person) error {
			must(t, os.Rename(dir.Path("alice"), dir.Path("alicia")))
			return moved
		},
		"moved and edited": func(t *testing.T, dir *Dir) func(*Person) error {
			rewrite(t, dir, "alice", strings.Replace(textOf(t, dir, "alice"), "user = 'alice'", "user = 'alicia'", 1))
			must(t, os.Rename(dir.Path("alice"), dir.Path("alicia")))
			return moved
		},
	} {
		t.Run(what, func(t *testing.T) {
			users := safe(t)
			dir := opened(t, at(users, key))
			enroll(t, dir, "alice", phoneOf("alice", "phone"))
			move := by(t, dir)
			if _, err := opened(t, at(users, key+"-gone")).Rename("alice", "alicia", none, nothing, move); !errors.Is(err, ErrUnreadable) {
				t.Errorf("without the key: %v", err)
			}
			if _, err := dir.Rename("alice", "alicia", none, nothing, move); err != nil && what != "killed" {
				t.Fatal(err)
			}
			if _, err := dir.Rename("alice", "alicia", none, nothing, moved); what == "killed" && err != nil {
				t.Fatal(err)
			}
			person, err := dir.Load("alicia")
			if err != nil || person.Unreadable() != nil || string(person.Factors[0].Secret) != string(phoneOf("alice", "phone").Secret) {
				t.Errorf("%v, %v", err, person.Unreadable())
			}
		})
	}
}

// Whose name is taken is told so without the key too.
func TestRenameToTakenWithoutTheKey(t *testing.T) {
	key, _ := newKey(t)
	users := safe(t)
	dir := opened(t, at(users, key))
	for _, name := range []string{"alice", "alicia"} {
		enroll(t, dir, name, phoneOf(name, "phone"))
	}
	before := textOf(t, dir, "alicia")
	never := func(Person) error { t.Error("it went on"); return nil }
	known := func(Person) (bool, error) { t.Error("asked whose file it is"); return false, nil }
	_, err := opened(t, at(users, key+"-gone")).Rename("alice", "alicia", known, never, func(person *Person) error { return never(*person) })
	if !errors.Is(err, ErrTaken) || textOf(t, dir, "alicia") != before {
		t.Errorf("%v", err)
	}
}
