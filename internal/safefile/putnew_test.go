package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/testfault"
)

// A new file is made on file systems too that cannot rename without replacing, and one
// that came meanwhile stays.
func TestPutNewWithoutNoReplace(t *testing.T) {
	made := func(dir, name string, first func() error) error {
		return PutNew(openDir(t, dir), name, []byte("key"), 0o400, first)
	}
	if dir, ok := testfault.Child(t); ok {
		fmt.Println("alone:", made(dir, "alone", func() error { return nil }))
		err := made(dir, "raced", func() error { return os.WriteFile(dir+"/raced", []byte("another"), 0o600) })
		fmt.Println("raced:", errors.Is(err, fs.ErrExist))
		return
	}
	dir := t.TempDir()
	said, _ := testfault.Fault{Name: "no such flag", Calls: []uint32{unix.SYS_RENAMEAT2}, Error: unix.EINVAL}.Run(t, dir)
	if !strings.Contains(said, "alone: <nil>\n") || !strings.Contains(said, "raced: true\n") {
		t.Errorf("it says %s", said)
	}
	for name, want := range map[string]string{"alone": "key", "raced": "another"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}
