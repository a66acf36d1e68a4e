package bounded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What is no regular file, or is larger than was meant, is an error at once.
func TestReadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", in("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", in("loop")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(in("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, want, err string
		most            int64
	}{
		{in("file"), "text", "", 4},
		{in("link"), "text", "", 100},
		{in("file"), "", "more than 3 bytes", 3},
		{in("fifo"), "", "FIFO", 100},
		{dir, "", "directory", 100},
		{"/dev/zero", "", "device", 100},
		{in("loop"), "", "symbolic links", 100},
		{in("none"), "", "no such file", 100},
	} {
		got, err := ReadFile(c.path, c.most)
		said := ""
		if err != nil {
			said = err.Error()
		}
		if string(got) != c.want || (c.err == "") != (err == nil) || !strings.Contains(said, c.err) {
			t.Errorf("%s: found %q, %v; expected %q, %q", c.path, got, err, c.want, c.err)
		}
	}
}
