package boot_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/machine"
)

// debians is where packaging/deps makes a Debian of each release.
const debians = "/var/cache/otpgate-test/"

// namespaces is a computer made of namespaces, whose disk is a directory in
// memory. A power cut is the end of all its processes: what they gave to the
// kernel is kept, so that it says less than a virtual machine does.
type namespaces struct {
	root   string // its file system
	cgroup string // its processes', as the real machine sees it
	init   *exec.Cmd
	ended  chan struct{} // closed when its process 1 is gone
}

func (*namespaces) patience() time.Duration { return 3 * machine.Patience }

// newNamespaces copies a Debian, and does not start it yet.
func newNamespaces(t *testing.T, release string) *namespaces {
	t.Helper()
	base := debians + release
	if _, err := os.Stat(base + "/etc/debian_version"); err != nil {
		t.Fatalf("expected a Debian in %s: %v; run packaging/deps test", base, err)
	}
	n := &namespaces{root: machine.Root + "/boot-" + release}
	if err := os.MkdirAll(n.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", n.root, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(n.root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if output, err := exec.Command("cp", "-a", base+"/.", n.root).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", base, err, output)
	}
	n.cgroup = newCgroup(t, n.root+"-cgroup")
	t.Cleanup(func() { n.cut(t) })
	return n
}

// newCgroup makes a cgroup below the one that the test is in. Cgroups are
// mounted at top for that.
func newCgroup(t *testing.T, top string) string {
	t.Helper()
	if err := os.MkdirAll(top, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("cgroup2", top, "cgroup2", 0, ""); err != nil {
		t.Fatalf("mount cgroups: %v; systemd needs version 2 of them", err)
	}
	memberships, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var own string
	for line := range strings.Lines(string(memberships)) {
		if path, found := strings.CutPrefix(line, "0::"); found {
			own = strings.TrimSpace(path)
		}
	}
	dir, err := os.MkdirTemp(filepath.Join(top, own), "otpgate-test-")
	if err != nil {
		t.Fatalf("make a cgroup: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(removeCgroup(dir), unix.Unmount(top, 0)); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// removeCgroup removes a cgroup with those in it. The kernel lets go of the
// last processes a moment after they have ended.
func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(dirs)
	deadline := time.Now().Add(machine.Patience)
	for _, dir := range dirs {
		for err = os.Remove(dir); errors.Is(err, unix.EBUSY) && time.Now().Before(deadline); err = os.Remove(dir) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *namespaces) boot(t *testing.T) {
	t.Helper()
	cgroup, err := os.Open(n.cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()
	// The cgroup namespace begins where the process is that makes it, so that
	// this comes last.
	n.init = exec.Command("unshare", "--cgroup", "./enter", n.root)
	n.init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		UseCgroupFD: true,
		CgroupFD:    int(cgroup.Fd()),
	}
	said, err := os.CreateTemp(t.TempDir(), "init")
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	n.init.Stdout, n.init.Stderr = said, said
	if err := n.init.Start(); err != nil {
		t.Fatalf("start process 1: %v", err)
	}
	n.ended = make(chan struct{})
	go func() { _ = n.init.Wait(); close(n.ended) }()
	answer := ""
	defer func() {
		if t.Failed() {
			t.Logf("systemctl said last: %s", answer)
		}
	}()
	until(t, n, "systemd answers", func() bool {
		select {
		case <-n.ended:
			text, _ := os.ReadFile(said.Name())
			t.Fatalf("process 1 ended: %v\n%s", n.init.ProcessState, text)
		default:
		}
		output, err := n.script("systemctl show --property=Version")
		answer = output
		return err == nil
	})
	// Its own Debian has no ip.
	up := exec.Command("nsenter", "--target", strconv.Itoa(n.init.Process.Pid), "--net", "ip", "link", "set", "lo", "up")
	if output, err := up.CombinedOutput(); err != nil {
		t.Fatalf("bring the loopback up: %v: %s", err, output)
	}
}

// cut ends all processes at once.
func (n *namespaces) cut(t *testing.T) {
	t.Helper()
	if n.init == nil {
		return
	}
	if err := n.init.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-n.ended
	n.init = nil
}

// off lets systemd shut the machine down.
func (n *namespaces) off(t *testing.T) {
	t.Helper()
	if output, err := n.script("systemctl poweroff"); err != nil {
		t.Logf("systemctl poweroff: %v: %s", err, output) // it may be gone before it has answered
	}
	select {
	case <-n.ended:
	case <-time.After(n.patience()):
		t.Fatal("the machine does not shut down")
	}
	n.init = nil
}

// within is a command in the computer. Its directories are process 1's: the root of
// its mount namespace is another one where the tests themselves are in a chroot.
func (n *namespaces) within(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(n.init.Process.Pid), "--all", "--root", "--wd"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

func (n *namespaces) script(text string) (string, error) {
	output, err := n.within("sh", "-euc", text).CombinedOutput()
	return string(output), err
}

func (n *namespaces) bring(t *testing.T, from, to string) {
	t.Helper()
	if output, err := exec.Command("cp", from, n.root+to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, output)
	}
}

func (n *namespaces) client(program string, port int, args ...string) *exec.Cmd {
	return n.within(slices.Concat([]string{program}, options(program, port), args)...)
}

// TestNamespaces is the walk with each release's systemd.
func TestNamespaces(t *testing.T) {
	for _, release := range []string{"bookworm", "trixie"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			w := &walk{computer: newNamespaces(t, release), deb: built(t)}
			w.install(t)
			w.steps(t)
		})
	}
}
