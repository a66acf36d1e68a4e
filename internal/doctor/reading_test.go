package doctor

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"
)

// Nothing here opens a file but by what does not wait for a FIFO and has a bound, nor
// runs a program but in the package that says which may be run.
func TestFilesAreReadWithABound(t *testing.T) {
	t.Parallel()
	opens := regexp.MustCompile(`\bos\.(ReadFile|Open|OpenFile)\(|\bexec\.Command`)
	// Files of /proc, read up to a size, and programs of the system.
	allowed := []string{"target/processes.go: os.Open(", "target/sudoers.go: exec.Command", "target/load.go: exec.Command", "target/sshd.go: exec.Command", "target/members.go: exec.Command"}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range opens.FindAllString(string(text), -1) {
			if !slices.Contains(allowed, path+": "+found) {
				t.Errorf("%s has %s, expected target.Read", path, found)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// allNames are those of the files of all set-ups.
func allNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(setups + "*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.Contains(f.Name, "/") && !strings.HasPrefix(f.Name, fixedFile+"/") {
				names = append(names, f.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// The doctor ends whatever the files are: each that it knows, as a FIFO that nobody
// writes, as a device without an end, as a directory, as a link to itself and as a
// file of a terabyte. Those without which no stack asks stay as they are.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	kept := []string{"etc/debian_version", "etc/pam.d/sshd", "etc/pam.d/sudo", "etc/pam.d/other", "etc/pam.d/common-auth", "etc/pam.d/common-account", "etc/otpgate/users/alice.toml", "etc/passwd"}
	archive, err := txtar.ParseFile(setups + "broken/cockpit.txtar")
	if err != nil {
		t.Fatal(err)
	}
	odd := map[string]func(path string) error{
		"FIFO":      func(path string) error { return unix.Mkfifo(path, 0o644) },
		"device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"loop":      func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"huge": func(path string) error {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return err
			}
			return os.Truncate(path, 1<<40)
		},
	}
	names := allNames(t)
	for kind, makeOdd := range odd {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := admit(t, archive)
			for _, name := range names {
				path := filepath.Join(p.root, name)
				if slices.Contains(kept, name) || os.MkdirAll(filepath.Dir(path), 0o755) != nil {
					continue // another one's directory is odd
				}
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := makeOdd(path); err != nil {
					t.Fatal(err)
				}
			}
			if said := p.examine(); !strings.Contains(said, "polkit") {
				t.Errorf("expected to be told that polkit's rules were not read, found\n%s", said)
			}
		})
	}
}
