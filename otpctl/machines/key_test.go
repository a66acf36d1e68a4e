package machines

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/testfault"
)

// Of many who make the key at once one does: another one would replace the key whose
// hash the first has shown.
func TestMakeKeyAtOnce(t *testing.T) {
	at := keyFile{path: filepath.Join(t.TempDir(), "gateway", "gateway.key"), user: "daemon"}
	shown := make([]string, 20)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for n := range shown {
		all.Go(func() {
			<-begin
			err := makeKey(at)
			if err == nil {
				key, err := pinned.ReadKey(at.path)
				if err != nil {
					t.Error(err)
					return
				}
				shown[n] = key.Hash.String()
			} else if !strings.Contains(err.Error(), "is there already, and was kept") {
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	key, err := pinned.ReadKey(at.path)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, hash := range shown {
		if hash != "" {
			made++
		}
		if hash != "" && hash != key.Hash.String() {
			t.Errorf("%s was shown, and the key is %s", hash, key.Hash)
		}
	}
	if made != 1 {
		t.Errorf("%d made the key", made)
	}
}

// Killed at each step, or on a full disk, init leaves a key that can be used or none,
// in a directory that is the gateway's user's. The next init is as ever.
func TestMakeKeyBrokenOff(t *testing.T) {
	if dir, ok := testfault.Child(t); ok {
		fmt.Println(makeKey(keyFile{path: dir + "/gateway.key", user: "daemon"}))
		return
	}
	daemon, found, err := nss.UserByName("daemon")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	for _, fault := range append(testfault.Steps, testfault.Full) {
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "gateway")
			said, killed := fault.Run(t, dir)
			if killed != (fault.Error == 0) || !killed && (!strings.Contains(said, "write "+dir+"/gateway.key: ") || !strings.Contains(said, fault.Error.Error())) {
				t.Errorf("killed %v: %s", killed, said)
			}
			if entries, _ := os.ReadDir(dir); len(entries) > 0 && (!killed || !strings.HasPrefix(entries[0].Name(), ".new-")) {
				t.Errorf("left behind: %v", entries)
			}
			at := keyFile{path: dir + "/gateway.key", user: "daemon"}
			if err := makeKey(at); err != nil {
				t.Fatal(err)
			}
			if _, err := pinned.ReadKey(at.path); err != nil {
				t.Error(err)
			}
			for path, mode := range map[string]os.FileMode{dir: 0o700, at.path: 0o600} {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if uid := info.Sys().(*syscall.Stat_t).Uid; uid != daemon.UID || info.Mode().Perm() != mode {
					t.Errorf("%s: owned by uid %d, mode %o; expected %d and %o", path, uid, info.Mode().Perm(), daemon.UID, mode)
				}
			}
			for path, want := range map[string]int{dir: 1, filepath.Dir(dir): 1} {
				if entries, err := os.ReadDir(path); err != nil || len(entries) != want {
					t.Errorf("in %s: %v, %v", path, entries, err)
				}
			}
		})
	}
}
