package root

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/doctor/target"
)

// A file that cannot be read is doubt, and not a file without rules.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	m := &target.Machine{Root: t.TempDir()}
	m.Fill()
	dir := filepath.Join(m.Root, "etc/sudoers.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(m.Root, "etc/sudoers")
	if err := os.WriteFile(main, []byte("@includedir /etc/sudoers.d\n@include /etc/none\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), m, "/etc/sudoers"); err != nil {
		t.Fatalf("without rules: %v", err)
	}
	// As another user would find it: root reads everything, but no link to itself.
	if err := os.Remove(main); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sudoers", main); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), m, "/etc/sudoers"); !errors.Is(err, unix.ELOOP) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("expected that it cannot be read, found %v", err)
	}
}

// What the parser is given is all files in sudo's order, without those that sudo
// does not read, and a line that goes on is one.
func TestIncludes(t *testing.T) {
	t.Parallel()
	m := &target.Machine{Root: t.TempDir()}
	var given string
	m.Sudoers = func(_ context.Context, text []byte, _ string) ([]byte, error) {
		given = string(text)
		return []byte("{}"), nil
	}
	for name, text := range map[string]string{
		"sudoers": "a\n#includedir /etc/sudoers.d\n#include sudoers.local\n# include b\nc \\\nd\n@include /etc/sudoers.%h\n", "hostname": "web1.example.com\n",
		"sudoers.d/20": "two\n", "sudoers.d/10": "one\n", "sudoers.d/30.bak": "no\n", "sudoers.d/40~": "no\n", "sudoers.local": "local\n", "sudoers.web1": "host\n",
	} {
		path := filepath.Join(m.Root, "etc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
	}
	s, err := read(t.Context(), m, "/etc/sudoers")
	if err != nil {
		t.Fatal(err)
	}
	if want := "a\none\ntwo\nlocal\n# include b\nc  d\nhost\n"; given != want {
		t.Errorf("the parser was given %q, expected %q", given, want)
	}
	places := ""
	for _, l := range s.lines {
		places += l.Position.String() + " "
	}
	if !strings.Contains(places, "/etc/sudoers.d/20:1 /etc/sudoers.local:1 /etc/sudoers:4 /etc/sudoers:5 /etc/sudoers.web1:1") {
		t.Errorf("found the places %s", places)
	}
}
