package seqpacket

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Who takes no descriptors never has one, not even to close it: whoever sent it would
// choose what that does. Here it would give up the process's own lock of the file.
func TestMessageWithDescriptor(t *testing.T) {
	ours, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer file.Close()
	locked, err := os.Create(filepath.Join(t.TempDir(), "locked"))
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	write := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(locked.Fd(), unix.F_SETLK, &write); err != nil {
		t.Fatal(err)
	}
	for _, fds := range [][]int{{int(locked.Fd())}, {int(locked.Fd()), int(locked.Fd())}} {
		if err := unix.Sendmsg(int(file.Fd()), []byte("with"), unix.UnixRights(fds...), nil, 0); err != nil {
			t.Fatal(err)
		}
		if message, err := ours.ReceiveMessage(make([]byte, 10)); !errors.Is(err, ErrTooLarge) || len(message) > 0 {
			t.Errorf("%d descriptors: %q, %v", len(fds), message, err)
		}
		held := unix.Flock_t{Type: unix.F_WRLCK}
		if err := unix.FcntlFlock(locked.Fd(), unix.F_OFD_GETLK, &held); err != nil || held.Type != unix.F_WRLCK {
			t.Errorf("%d descriptors: the lock is of type %d, %v: one was closed", len(fds), held.Type, err)
		}
	}
	if _, err := file.Write([]byte("without")); err != nil {
		t.Fatal(err)
	}
	if message, err := ours.ReceiveMessage(make([]byte, 10)); err != nil || string(message) != "without" {
		t.Errorf("%q, %v", message, err)
	}
}
