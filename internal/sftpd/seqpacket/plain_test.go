package seqpacket

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func plainPair(t *testing.T) (ours, theirs Plain) {
	t.Helper()
	ours, theirs, err := PlainPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return ours, theirs
}

func TestPlain(t *testing.T) {
	ours, theirs := plainPair(t)
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := ours.Send([]byte("with"), int(file.Fd())); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 10)
	n, fds, err := theirs.Receive(buffer)
	if err != nil || string(buffer[:n]) != "with" || len(fds) != 1 {
		t.Fatalf("%q, descriptors %v, %v", buffer[:n], fds, err)
	}
	defer CloseAll(fds)
	if flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v: expected the descriptor to be closed by an exec", flags, err)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := theirs.Receive(buffer); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// What is too long is refused, and its descriptors are closed.
func TestPlainTooLarge(t *testing.T) {
	ours, theirs := plainPair(t)
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	if err := ours.Send(make([]byte, 11), ends[1]); err != nil {
		t.Fatal(err)
	}
	unix.Close(ends[1])
	if _, fds, err := theirs.Receive(make([]byte, 10)); !errors.Is(err, ErrTooLarge) || len(fds) > 0 {
		t.Errorf("descriptors %v, %v", fds, err)
	}
	poll := []unix.PollFd{{Fd: int32(ends[0])}}
	if _, err := unix.Poll(poll, 5000); err != nil || poll[0].Revents&unix.POLLHUP == 0 {
		t.Errorf("the descriptor is still open: %#x, %v", poll[0].Revents, err)
	}
	for _, size := range []int{0, MaxSize + 1} {
		if err := ours.Send(make([]byte, size)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// A connection is taken over, nothing else, and its calls wait.
func TestTakeOver(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(fds[:])
	if _, err := TakeOver(fds[0]); err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := TakeOver(int(file.Fd())); err == nil {
		t.Error("a file was taken for a connection")
	}
}
