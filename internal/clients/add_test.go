package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/testfault"
)

func named(name string, key byte) Client {
	client := Default()
	client.Client, client.Keys = name, []config.KeyHash{keyOf(key)}
	return client
}

// Of many who add one name, or one key, at once, one does: the others would leave a
// client whose key is another one than was said, or a key that is nobody's.
func TestAddAtOnce(t *testing.T) {
	for what, client := range map[string]func(n int) Client{
		"one name": func(n int) Client { return named("web1", byte(n+1)) },
		"one key":  func(n int) Client { return named(fmt.Sprintf("web%d", n), 1) },
	} {
		dir := filepath.Join(t.TempDir(), "clients")
		errs := make([]error, 20)
		begin := make(chan struct{})
		var all sync.WaitGroup
		for n := range errs {
			all.Go(func() {
				<-begin
				errs[n] = Add(dir, client(n))
			})
		}
		close(begin)
		all.Wait()
		added, wrong, err := All(dir)
		if len(added) != 1 || len(wrong) > 0 || err != nil {
			t.Fatalf("%s: %+v, %v, %v", what, added, wrong, err)
		}
		for n, err := range errs {
			if mine := client(n); (err == nil) != (mine.Client == added[0].Client && mine.Keys[0] == added[0].Keys[0]) {
				t.Errorf("%s: %v for %s, and there is %+v", what, err, mine.Client, added[0])
			}
		}
	}
}

// Killed at each step, or on a full disk, Add leaves a whole file or none, and a
// directory that the gateway's user can read. The next Add is as ever.
func TestAddBrokenOff(t *testing.T) {
	if dir, ok := testfault.Child(t); ok {
		syscall.Umask(0o077)
		fmt.Println(Add(dir, named("web1", 1)))
		return
	}
	for _, fault := range append(testfault.Steps, testfault.Full) {
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "clients")
			said, killed := fault.Run(t, dir)
			switch {
			case fault.Error != 0 && !strings.Contains(said, "write "+dir+"/web1.toml: ") || fault.Error != 0 && !strings.Contains(said, fault.Error.Error()):
				t.Errorf("it says %q", said)
			case fault.Error == 0 && killed != (fault.Name != "chown"): // it is root's
				t.Errorf("killed %v: %s", killed, said)
			}
			if fault.Name != "chown" {
				if all, wrong, err := All(dir); len(all) > 0 || len(wrong) > 0 || err != nil && fault.Error != 0 {
					t.Errorf("left behind: %v, %v, %v", all, wrong, err)
				}
				if err := Add(dir, named("web1", 1)); err != nil {
					t.Error(err)
				}
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 2 { // the lock beside it
				t.Errorf("%v, %v", entries, err)
			}
			if all, wrong, err := All(dir); len(all) != 1 || len(wrong) > 0 || err != nil {
				t.Errorf("%v, %v, %v", all, wrong, err)
			}
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("%v, %v", info, err)
			}
			if beside, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(beside) != 1 {
				t.Errorf("beside it: %v, %v", beside, err)
			}
		})
	}
}

// The directory is for all to read, so anybody can hold its lock. That keeps no command
// from adding a client.
func TestAddBesideAStrangersLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clients")
	if err := Add(dir, named("web1", 1)); err != nil {
		t.Fatal(err)
	}
	stranger, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := unix.Flock(int(stranger.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if err := Add(dir, named("web2", 2)); err != nil {
		t.Error(err)
	}
}
