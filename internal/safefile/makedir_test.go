package safefile

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/testfault"
)

// A directory that cannot come to its name leaves none behind, and the error is of that
// alone.
func TestMakeDirWithoutRename(t *testing.T) {
	if dir, is := testfault.Child(t); is {
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
