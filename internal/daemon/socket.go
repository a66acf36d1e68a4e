package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
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
