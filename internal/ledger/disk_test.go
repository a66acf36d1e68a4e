package ledger_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/testfault"
)

// inNamespace runs the calling test once more, in a process that has its own
// mounts, and says whether this is that process.
func inNamespace(t *testing.T) bool {
	t.Helper()
	needRoot(t)
	const variable = "LEDGER_TEST_NAMESPACE"
	if os.Getenv(variable) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	// The race detector would have the child wait a second before it ends.
	cmd.Env = append(os.Environ(), variable+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	return false
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, output)
	}
}

// disk is an ext4 file system in a file.
type disk struct{ image, dir string }

func newDisk(t *testing.T) disk {
	t.Helper()
	d := disk{image: filepath.Join(t.TempDir(), "image"), dir: t.TempDir()}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, 8<<20)); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-m0", d.image)
	d.mount(t)
	t.Cleanup(func() { _ = unix.Unmount(d.dir, unix.MNT_DETACH) })
	return d
}

func (d disk) mount(t *testing.T) {
	t.Helper()
	run(t, "mount", "-o", "loop", d.image, d.dir)
}

// crash takes the power away: what the file system has not sent to the disk
// by now is lost.
func (d disk) crash(t *testing.T) {
	t.Helper()
	const (
		shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
		noFlush  = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	root, err := os.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(unix.IoctlSetPointerInt(int(root.Fd()), shutdown, noFlush), root.Close(), unix.Unmount(d.dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	d.mount(t)
}

// fill takes all space that is left.
func fill(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Create(dir + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for size := 1 << 20; size > 0; {
		_, err := file.Write(make([]byte, size))
		if err == nil {
			err = file.Sync()
		}
		if errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisk is google-authenticator's bugs 13 and 233: people who have a
// record can still log in, others get an error that says why, and whatever
// happens, no record is damaged.
func TestFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	onTmpfs := t.TempDir()
	if err := unix.Mount("none", onTmpfs, "tmpfs", 0, "size=128k,mode=700"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(onTmpfs, unix.MNT_DETACH)
	for _, dir := range []string{onTmpfs, newDisk(t).dir} {
		store := newStore(t, dir+"/state")
		update(t, store, alice, addOne)
		fill(t, dir)
		update(t, store, alice, addOne)

		carol := ledger.Key{Kind: ledger.User, Name: "carol"}
		for key, change := range map[ledger.Key]func(*ledger.Entry) error{carol: addOne, alice: addLarge} {
			path := filepath.Join(dir, "state", "users", key.Name)
			err := store.Update(t.Context(), key, change)
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "update ledger entry "+path) {
				t.Errorf("update of %s gives %v, expected no space and the path", key.Name, err)
			}
		}
		for range 5 {
			update(t, store, alice, addOne)
		}
		if a, c := wrong(t, store, alice), wrong(t, store, carol); a != 7 || c != 0 {
			t.Errorf("entries are %d and %d, expected 7 and 0", a, c)
		}
		if names := list(t, dir+"/state/users"); len(names) != 1 {
			t.Errorf("files %q, expected alice alone", names)
		}
		if err := os.Remove(dir + "/filler"); err != nil {
			t.Fatal(err)
		}
		update(t, store, alice, addLarge)
		update(t, store, carol, addLarge)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	d := newDisk(t)
	store := newStore(t, d.dir+"/state")
	update(t, store, alice, addOne)
	if err := unix.Mount("", d.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	store = newStore(t, d.dir+"/state")
	for _, name := range []string{"alice", "bob"} {
		err := store.Update(t.Context(), ledger.Key{Kind: ledger.User, Name: name}, addOne)
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), d.dir+"/state/users/"+name) {
			t.Errorf("update gives %v, expected a read-only file system and the path", err)
		}
	}
	if got := wrong(t, store, alice); got != 1 {
		t.Errorf("entry %d, expected 1", got)
	}
	if _, err := ledger.OpenFiles(d.dir + "/new"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("open gives %v, expected a read-only file system", err)
	}
}

// TestPowerCut cuts the power right after each kind of write has returned.
func TestPowerCut(t *testing.T) {
	if inNamespace(t) {
		powerCut(t)
	}
}

// TestPowerCutWithoutTheFlag does so where a write that is durable by itself is
// no system call, as under QEMU's emulation and in some sandboxes.
func TestPowerCutWithoutTheFlag(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	testfault.Begin(t, []uint32{unix.SYS_PWRITEV2}, unix.ENOSYS)
	if _, err := unix.Pwritev2(-1, nil, 0, 0); err != unix.ENOSYS {
		t.Fatalf("expected that the call is missing, found %v", err)
	}
	powerCut(t)
}

func powerCut(t *testing.T) {
	d := newDisk(t)
	dir, unsynced := d.dir+"/state", d.dir+"/unsynced"
	check := func(what string, want int) {
		t.Helper()
		// Without this the test could pass because nothing is ever lost. It is written
		// last: the kernel sends everything to the disk after some seconds.
		if err := os.WriteFile(unsynced, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.crash(t)
		if data, err := os.ReadFile(unsynced); err == nil && len(data) > 0 {
			t.Errorf("%s: the crash lost nothing, so this test proves nothing", what)
		}
		if got := wrong(t, newStore(t, dir), alice); got != want {
			t.Errorf("%s: entry %d after the crash, expected %d", what, got, want)
		}
	}
	update(t, newStore(t, dir), alice, addOne)
	check("first use of all", 1)
	update(t, newStore(t, dir), alice, addOne)
	check("update", 2)
	update(t, newStore(t, dir), alice, addLarge)
	check("growth", 3)
}

// TestPowerCutAtEveryStep cuts the power in the middle of each kind of write.
func TestPowerCutAtEveryStep(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	errCut := errors.New("cut")
	for _, cut := range append(makeSteps, "slot locked") {
		for before, change := range []func(*ledger.Entry) error{addOne, addLarge} {
			d := newDisk(t)
			dir := d.dir + "/state"
			store := newStore(t, dir)
			for range before {
				update(t, store, alice, addOne)
			}
			store.SetFault(func(step string) error {
				if step == cut {
					return errCut
				}
				return nil
			})
			if err := store.Update(t.Context(), alice, change); !errors.Is(err, errCut) {
				t.Errorf("%s: error is %v, expected the cut", cut, err)
			}
			d.crash(t)
			store = newStore(t, dir)
			if got := wrong(t, store, alice); got != before {
				t.Errorf("%s: entry %d after the crash, expected %d", cut, got, before)
			}
			update(t, store, alice, addLarge)
		}
	}
}

// TestPowerCutAfterKill kills a process that has made or replaced a file whose
// name is not on disk yet, lets another one use it, and cuts the power.
func TestPowerCutAfterKill(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	errKilled := errors.New("killed")
	for _, before := range []int{0, 1} {
		d := newDisk(t)
		dir := d.dir + "/state"
		store := newStore(t, dir)
		for range before {
			update(t, store, alice, addOne)
		}
		store.SetFault(func(step string) error {
			if step == "renamed" {
				return errKilled
			}
			return nil
		})
		if err := store.Update(t.Context(), alice, addLarge); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		update(t, newStore(t, dir), alice, addOne)
		d.crash(t)
		if got := wrong(t, newStore(t, dir), alice); got != before+1 {
			t.Errorf("entry %d after the crash, expected %d", got, before+1)
		}
	}
}
