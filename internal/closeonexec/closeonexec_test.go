package closeonexec

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestSetAll(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if err := SetAll(); err != nil {
		t.Fatal(err)
	}
	for fd, want := range map[int]int{2: 0, fds[0]: unix.FD_CLOEXEC, fds[1]: unix.FD_CLOEXEC} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != want {
			t.Errorf("descriptor %d: %d, %v, want %d", fd, flags, err, want)
		}
	}
}
