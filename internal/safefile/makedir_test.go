package safefile

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/testfault"
)

// A directory that cannot come to its name leaves none behind, and the error is of that
// alone.
func TestMakeDirWithoutRename(t *testing.T) {
	if dir, ok := testfault.Child(t); ok {
		fmt.Println("it says", MakeDir(dir+"/new", 0o700, Owner{}))
		return
	}
	dir := t.TempDir()
	said, _ := testfault.Fault{Name: "rename fails", Calls: []uint32{unix.SYS_RENAMEAT}, Error: unix.EIO}.Run(t, dir)
	if want := "it says make directory " + dir + "/new: input/output error\n"; !strings.Contains(said, want) {
		t.Errorf("want %q in %s", want, said)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

// Nor does anybody who can read the directory above keep one from being made, or make
// one of what a killed process has left. Of many that make it at once each finds it,
// with its mode.
func TestMakeDirBesideOthers(t *testing.T) {
	for _, left := range []os.FileMode{0, 0o700, 0o755} {
		dir := t.TempDir()
		held(t, dir)
		if left != 0 {
			if err := os.Mkdir(dir+"/.new-new", left); err != nil {
				t.Fatal(err)
			}
		}
		if left == 0o755 {
			held(t, dir+"/.new-new")
		}
		var made sync.WaitGroup
		for range 20 {
			made.Go(func() {
				if err := MakeDir(dir+"/new", 0o751, Owner{}); err != nil {
					t.Error(err)
				}
				if info, err := os.Stat(dir + "/new"); err != nil || info.Mode().Perm() != 0o751 {
					t.Errorf("%v, %v", info, err)
				}
			})
		}
		made.Wait()
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	}
}
