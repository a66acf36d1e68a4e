package testwait

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A change after it has another time.
func TestTick(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	last := syscall.Timespec{}
	for range 20 {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := info.Sys().(*syscall.Stat_t).Ctim
		if changed == last {
			t.Errorf("changed at %v twice", changed)
		}
		last = changed
		Tick(t, path)
	}
}
