package target

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// /etc/passwd is asked in the place of the name services only where they would say the
// same.
func TestFilesFirst(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"passwd: files systemd\n":                         true,
		"passwd:\tfiles # sss\ngroup: sss\n":              true,
		"passwd: files sss [NOTFOUND=return] ldap\n":      true,
		"passwd: sss files\n":                             false,
		"passwd: files [SUCCESS=continue] sss\n":          false,
		"passwd: compat\n":                                false,
		"group: files\n":                                  false,
		"":                                                false,
		"passwd: sss files\npasswd: files systemd\n":      true,
		"passwd: files systemd\n passwd : ldap files # x": false,
	} {
		root := t.TempDir()
		write(t, root+"/etc/nsswitch.conf", text)
		if got := (&Machine{Root: root}).filesFirst(); got != want {
			t.Errorf("%q: found %t, expected %t", text, got, want)
		}
	}
	if !(&Machine{Root: t.TempDir()}).filesFirst() {
		t.Error("without nsswitch.conf: expected files first, as the C library has it")
	}
}

// Names of a uid are in the order of the file, and of a name that is there twice the
// first line counts.
func TestLocalNames(t *testing.T) {
	t.Parallel()
	m := &Machine{Root: t.TempDir()}
	m.Fill()
	write(t, m.Root+"/etc/passwd", "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nal:x:1000:1000::/:/bin/sh\nalice:x:0:0::/:/bin/sh\n")
	for _, c := range []struct {
		name   string
		known  bool
		others []string
	}{
		{"toor", true, []string{"root", "alice"}}, {"al", true, []string{"alice"}}, {"alice", true, []string{"al"}}, {"bob", false, nil},
	} {
		known, err := m.UserKnown(c.name)
		others, err2 := m.Others(c.name)
		if known != c.known || err != nil || err2 != nil || !slices.Equal(others, c.others) {
			t.Errorf("%s: known %t, others %q, %v, %v; expected %t and %q", c.name, known, others, err, err2, c.known, c.others)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
