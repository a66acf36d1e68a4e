package target

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
	"github.com/otpgate/otpgate/internal/testwait"
)

// A program that somebody else runs, or could write, under a server's name is none of
// the servers that are asked: root would run it.
func TestRunningIsRootsAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("expected to be root, who alone can start what is not root's: run it as root")
	}
	const name = "a-server"
	for _, c := range []struct {
		of        string
		uid, file uint32
		mode      os.FileMode
		want      bool
	}{
		{"root's", 0, 0, 0o755, true},
		{"somebody else's", 65534, 0, 0o755, false},
		{"of a file that is somebody else's", 0, 65534, 0o755, false},
		{"of a file that others can write", 0, 0, 0o757, false},
	} {
		dir, err := os.MkdirTemp("", "running")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		text, err := os.ReadFile("/bin/sleep")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		for _, err := range []error{
			os.Chmod(dir, 0o755), testprogram.Write(path, text), os.Chown(path, int(c.file), -1), os.Chmod(path, c.mode),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(path, "600")
		cmd.Args[0] = "/somewhere/else/" + name
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The kernel tells whoever started it before it tells others of its words.
		testwait.Until(t, "the process has a command line", func() bool {
			words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
			return err == nil && len(words) > 0
		})
		found := (&Machine{}).running(name)
		at := slices.IndexFunc(found, func(p Process) bool { return p.PID == cmd.Process.Pid })
		switch {
		case at >= 0 != c.want:
			t.Errorf("a process %s: found %+v, expected %t", c.of, found, c.want)
		case c.want && (found[at].Program != path || !slices.Equal(found[at].Words, cmd.Args)):
			t.Errorf("a process %s: found %+v, expected the program %s and %q", c.of, found[at], path, cmd.Args)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
	}
}
