package target

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A verifier whose queue is full is no verifier that is not there.
func TestListenerBehindAFullQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	ahead, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ahead.Close()
	if _, err := net.Dial("unix", path); err == nil {
		t.Fatal("expected a full queue")
	}
	found := make(chan Listener, 1)
	go func() { found <- listener(path) }()
	taken, _, err := unix.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(taken)
	if got := <-found; got.Err != nil || got.PID != int32(os.Getpid()) {
		t.Errorf("found %+v", got)
	}
}
