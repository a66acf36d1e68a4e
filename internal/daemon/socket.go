package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// RemoveStale takes away the socket of a program that was killed.
func RemoveStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s: it is no socket, expected nothing or an old socket there", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
	}
	// EAGAIN is a queue that is full, see connect(2).
	if err == nil || errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("%s: somebody is already listening there", path)
	}
	return os.Remove(path)
}

// ListenUnix makes a socket at path, in place of an old one. The mode comes before the
// name, less what the umask takes, so that there is no moment with a wider one. The umask
// itself is the whole process's.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := RemoveStale(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, socket syscall.RawConn) (err error) {
		controlErr := socket.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode)) })
		return errors.Join(controlErr, err)
	}}
	listener, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}
