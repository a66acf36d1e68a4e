package target

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// tempOfRoots is a directory that only root can write, as are those above it but for
// one with a sticky bit.
func tempOfRoots(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "roots")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What others could have put there is told from what is root's alone.
func TestRootsAlone(t *testing.T) {
	dir := tempOfRoots(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(in("roots"), nil, 0o755), os.WriteFile(in("others"), nil, 0o755), os.Chown(in("others"), 65534, -1),
		os.WriteFile(in("open"), nil, 0o755), os.Chmod(in("open"), 0o775),
		os.Mkdir(in("theirs"), 0o755), os.WriteFile(in("theirs/roots"), nil, 0o755), os.Chown(in("theirs"), 65534, -1),
		os.Symlink("others", in("link to others")), os.Symlink("roots", in("link to roots")), os.Symlink("theirs/roots", in("link through theirs")),
		os.Symlink("loop", in("loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"roots": true, "link to roots": true, "none": true, "others": false, "open": false, "theirs/roots": false,
		"link to others": false, "link through theirs": false, "loop": false} {
		if err := RootsAlone(in(name)); (err == nil) != want {
			t.Errorf("%s: found %v, expected that it is root's alone: %v", name, err, want)
		}
	}
}

// Neither a program nor a configuration that others could have written is given to
// root to run: a configuration has commands, by Match exec.
func TestAsksNoSSHDOfOthers(t *testing.T) {
	dir := tempOfRoots(t)
	mark, program, config, own := filepath.Join(dir, "mark"), filepath.Join(dir, "sshd"), filepath.Join(dir, "config"), filepath.Join(dir, "own")
	text := "#!/bin/sh\necho >>" + mark + "\n"
	for _, err := range []error{
		testprogram.Write(program, []byte(text)), os.Chown(program, 65534, -1),
		os.WriteFile(config, []byte("Match exec \"echo >>"+mark+"\"\n"), 0o644), os.Chown(config, 65534, -1),
		testprogram.Write(own, []byte(text)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m := &Machine{}
	for _, query := range []Query{{Program: program}, {Program: own, Config: config, Spec: "user=root,host=x,addr=10.0.0.1"}} {
		if _, err := m.realSSHD(t.Context(), query); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "root") {
			t.Errorf("%+v: found %v, expected %v", query, err, ErrUntrusted)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("something of somebody else's was run")
	}
	if _, err := m.realSSHD(t.Context(), Query{Program: own}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("root's own was not run: %v", err)
	}
}
