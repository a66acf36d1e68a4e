package fronts

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inLine connects, and waits in a full queue as a front does.
func inLine(path string) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, err
	}
	return net.FileConn(file)
}

// The socket of a verifier that is stopped, or out of descriptors, stays its
// own when its queue is full.
func TestFullQueueIsNotStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "sock")
	socket, err := ListenAt(path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := unix.Listen(socket.fd, 1); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		var fd int
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if second, err := ListenAt(path); err == nil || !strings.Contains(err.Error(), "somebody is already listening there") {
		t.Errorf("%v, %v", second, err)
	}
}

// However many connect, few are ahead of a front that comes. Nobody takes any here.
func TestFewAreAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "socket")
	socket, err := ListenAt(path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	ahead := 0
	for ; ahead <= 1000; ahead++ {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if ahead == 0 || ahead > queue+1 {
		t.Errorf("%d connections are ahead, want at most %d", ahead, queue+1)
	}
	unit, err := os.ReadFile("../../packaging/systemd/otpgate-verifierd.socket")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("\nBacklog=%d\n", queue); !strings.Contains(string(unit), want) {
		t.Errorf("the socket unit has not %q", want)
	}
}
