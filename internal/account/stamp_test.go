package account

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testwait"
)

// TestReload never gives what is no longer in the file, however the change was
// made, and gives the same where nothing changed.
func TestReload(t *testing.T) {
	const text = "version = 1\nuser = \"alice\"\nemail = \"a@example.org\"\n"
	base := t.TempDir()
	if err := os.Chmod(base, 0o700); err != nil {
		t.Fatal(err)
	}
	clock := time.Now() // ahead of the file
	place := Place{Path: base, now: func() time.Time { return clock }}
	dir, err := place.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	path := dir.Path("alice")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	young, err := dir.Load("alice")
	if err != nil || young.seen.Settled() {
		t.Fatalf("a new file: settled %v, %v", young.seen.Settled(), err)
	}
	clock = clock.Add(time.Hour)
	old, err := dir.Load("alice")
	if err != nil || !old.seen.Settled() {
		t.Fatalf("an old file: settled %v, %v", old.seen.Settled(), err)
	}
	known := old
	known.Phone = "kept"
	if again, err := place.Reload(known); err != nil || again.Phone != "kept" {
		t.Errorf("an unchanged file was read again: %v", err)
	}
	if again, err := place.Reload(young); err != nil || again.Email != "a@example.org" || !again.seen.Settled() {
		t.Errorf("a file that was young: %+v, %v", again, err)
	}
	// In place, of the same size and with the old time of modification.
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	testwait.Tick(t, path)
	if err := os.WriteFile(path, []byte(strings.Replace(text, "a@", "b@", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	if again, err := place.Reload(old); err != nil || again.Email != "b@example.org" {
		t.Errorf("a changed file: %q, %v", again.Email, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := place.Reload(old); err == nil {
		t.Error("a file that others can read was believed")
	}
}
