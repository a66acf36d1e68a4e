package remotelogin

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// newGone is a server that has its address, so that nobody else gets it, and does not
// listen there.
func newGone(t *testing.T) *fake {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(socket) })
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	_, key := newKey(t)
	return &fake{at: fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port), key: key}
}
