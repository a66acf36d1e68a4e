package rollout

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
)

// halfway names the tree and what TestHalfway does with it in a process of its own.
const halfwayRoot, halfwayWhat = "OTPGATE_TEST_ROOT", "OTPGATE_TEST_WHAT"

// writes are the system calls by which files come to be what they are.
var writes = []string{"pwrite64", "fchmod", "fsync", "renameat", "unlinkat"}

// failures are what befalls one of them: the process is killed there, or the disk
// does not take it, once or from there on.
var failures = []string{"signal=KILL:when=%d", failedOnce, "error=ENOSPC:when=%d+"}

const failedOnce = "error=ENOSPC:when=%d"

// halfway are edits of a file of the admin's, with a stage that is written out, and
// of the distribution's, of which a copy is made.
func halfway(t *testing.T, root string, copied bool) (Changer, Edit) {
	t.Helper()
	const service = "auth substack x\n"
	edit := Edit{Service: "sshd", Path: "/etc/pam.d/sshd", Before: service, After: authstack.WrittenFrom + "\n" + authstack.WrittenFor + service +
		"auth requisite pam_unix.so\nauth required pam_otpgate.so\n" + authstack.WrittenTo + "\n"}
	source := edit.Path
	if copied {
		edit.From = "/usr/lib/pam.d/sshd"
		source = edit.From
	}
	if _, err := os.Stat(root + "/etc"); err != nil {
		put(t, root+source, edit.Before)
		for _, dir := range []string{"/etc/pam.d", "/etc/otpgate"} {
			if err := os.MkdirAll(root+dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return Changer{Root: root, Now: time.Now}, edit
}

// TestHalfway is what a process does that strace has something befall.
func TestHalfway(t *testing.T) {
	root := os.Getenv(halfwayRoot)
	if root == "" {
		return
	}
	runtime.LockOSThread() // strace counts the calls of each thread
	command, copied := strings.CutSuffix(os.Getenv(halfwayWhat), " of a copy")
	c, edit := halfway(t, root, copied)
	target, err := c.Find(edit)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	switch command {
	case "enable":
		_, err = c.PutFor(edit, target, time.Minute, started)
	case "keep":
		_, err = c.Put(edit, target)
	case "restore":
		_, _, err = c.Restore(edit.Service)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever write a change is killed at, or the disk does not take, the service's file
// is the old or the new one, a change that is in force until it is confirmed is undone,
// and a command that is run again does what the first one was to do.
func TestEveryWriteMayFail(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"enable", "enable of a copy", "keep", "keep of a copy", "restore", "restore of a copy"} {
		for _, failure := range failures {
			for _, call := range writes {
				t.Run(what+" "+failure+" "+call, func(t *testing.T) {
					t.Parallel()
					n := 1
					for ; failsAt(t, what, call, failure, n); n++ {
					}
					if n == 1 && call == "fsync" {
						t.Error("nothing failed")
					}
				})
			}
		}
	}
}

// failsAt has the nth such call fail, and looks at what is there then. It is false if
// there are not as many.
func failsAt(t *testing.T, what, call, failure string, n int) (failed bool) {
	t.Helper()
	root := t.TempDir()
	command, copied := strings.CutSuffix(what, " of a copy")
	c, edit := halfway(t, root, copied)
	if command == "restore" {
		target, err := c.Find(edit)
		if err != nil {
			t.Fatal(err)
		}
		c.mustPutFor(t, edit, target)
	}
	cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace="+call, "-e", "inject="+call+":"+fmt.Sprintf(failure, n),
		os.Args[0], "-test.run", "^TestHalfway$")
	cmd.Env = append(os.Environ(), halfwayRoot+"="+root, halfwayWhat+"="+what)
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if failed = errors.As(err, &exit); !failed {
		if err != nil || !bytes.Contains(output, []byte("PASS")) {
			t.Fatalf("strace: %v\n%s", err, output)
		}
		return false
	}
	at := fmt.Sprintf("at the call %d: %s", n, output)
	now := serviceFile(t, c, edit)
	if now != edit.After && now != edit.Before && (now != "" || edit.From == "") {
		t.Fatalf("%s: found the file\n%s", at, now)
	}
	pending, err := c.Pending()
	if err != nil {
		t.Fatal(at, err)
	}
	switch {
	case command == "enable" && now == edit.After && len(pending) != 1:
		t.Fatalf("%s: the change is in force, and nothing undoes it", at)
	case command != "restore" && failure == failedOnce && (now == edit.After || len(pending) > 0):
		t.Fatalf("%s: it was refused, and there are %+v and\n%s", at, pending, now)
	}
	again(t, c, edit, command, at)
	return true
}

// again runs the command once more, after what undoes a change has done that.
func again(t *testing.T, c Changer, edit Edit, command, at string) {
	t.Helper()
	if command != "keep" {
		if _, _, _, err := c.Watch(edit.Service, 0, time.Millisecond); err != nil {
			t.Fatal(at, err)
		}
		want := edit.Before
		if edit.From != "" {
			want = ""
		}
		if now := serviceFile(t, c, edit); now != want {
			t.Fatalf("%s: undone it is\n%s", at, now)
		}
	}
	if command != "restore" && serviceFile(t, c, edit) != edit.After {
		target, err := c.Find(edit)
		if err != nil {
			t.Fatal(at, err)
		}
		c.mustPutFor(t, edit, target)
		expect(t, c, edit.Path, edit.After)
	}
	entries, err := filepath.Glob(c.Root + "/etc/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range entries {
		if name := filepath.Base(path); name != "sshd" && name != "pending" && !authstack.IsCopy(name) {
			t.Errorf("%s: libpam would take %s for a service", at, path)
		}
	}
}

// serviceFile is what the service's file has, "" if there is none.
func serviceFile(t *testing.T, c Changer, edit Edit) string {
	t.Helper()
	data, err := os.ReadFile(c.Root + edit.Path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}
