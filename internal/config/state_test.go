package config

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestStateOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "otpgate.toml")
	missing, err := StateOf(path)
	if err != nil || !missing.Settled(time.Now()) {
		t.Errorf("nothing there: %+v, %v", missing, err)
	}
	if err := os.WriteFile(path, []byte("# first"), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh, err := StateOf(path)
	if err != nil || fresh == missing || fresh == (State{}) {
		t.Errorf("a new file: %+v, %v", fresh, err)
	}
	changed := time.Unix(fresh.ctime.Unix())
	// The clock may have been set back.
	for offset, want := range map[time.Duration]bool{0: false, settle / 2: false, -settle / 2: false, 2 * settle: true, -2 * settle: true} {
		if fresh.Settled(changed.Add(offset)) != want {
			t.Errorf("%s after the change: expected settled %v", offset, want)
		}
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if gone, err := StateOf(path); err != nil || gone != missing {
		t.Errorf("gone: %+v, %v", gone, err)
	}
	if _, err := StateOf(path + ".old/below"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
}
