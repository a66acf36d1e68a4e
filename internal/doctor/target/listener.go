package target

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Listener is who was found at the verifier's socket.
type Listener struct {
	// Err is why nobody was; it wraps fs.ErrNotExist if there is no socket.
	Err error
	UID uint32
	PID int32
	// Program is the running program's file, with " (deleted)" behind it if
	// that has been replaced since.
	Program string
}

// listener connects and says nothing.
func listener(socket string) Listener {
	connection, err := net.Dial("unix", socket)
	// A queue that is full is waited for, as the module does.
	for begun := time.Now(); errors.Is(err, unix.EAGAIN) && time.Since(begun) < 2*time.Second; {
		time.Sleep(10 * time.Millisecond)
		connection, err = net.Dial("unix", socket)
	}
	if err != nil {
		return Listener{Err: err}
	}
	defer connection.Close()
	raw, err := connection.(*net.UnixConn).SyscallConn()
	if err != nil {
		return Listener{Err: err}
	}
	var found Listener
	err = raw.Control(func(fd uintptr) {
		peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			found.Err = err
			return
		}
		found.UID, found.PID = peer.Uid, peer.Pid
	})
	if err != nil {
		return Listener{Err: err}
	}
	// Another user's program cannot be looked at but by root.
	found.Program, _ = os.Readlink(fmt.Sprintf("/proc/%d/exe", found.PID))
	return found
}
