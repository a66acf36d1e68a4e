package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// listen takes the socket that systemd passes, or makes the one at path.
func listen(path string) (listener *net.UnixListener, activated bool, err error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, false, fmt.Errorf("take systemd's socket: %w", err)
	}
	switch {
	case len(passed) == 0:
		listener, err = listenAt(path)
		return listener, false, err
	case len(passed) > 1:
		return nil, false, fmt.Errorf("systemd passed %d sockets, expected one", len(passed))
	}
	listener, isUnix := passed[0].(*net.UnixListener)
	if !isUnix {
		return nil, false, fmt.Errorf("systemd passed a socket of %s, expected a unix stream socket", passed[0].Addr().Network())
	}
	// It is systemd's to remove.
	listener.SetUnlinkOnClose(false)
	return listener, true, nil
}

// listenAt makes a socket that everybody may connect to: who may ask what is
// decided by the kernel's word on who it is.
func listenAt(path string) (*net.UnixListener, error) {
	parent := filepath.Dir(path)
	if err := os.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("directory of the socket: %w", err)
	}
	dir, err := safefile.OpenDir(parent)
	if err != nil {
		return nil, fmt.Errorf("directory of the socket: %w", err)
	}
	defer dir.Close()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode is set by the umask at once: a moment with another one would
	// turn a front away.
	old := unix.Umask(0o111)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

// removeStale takes away the socket of a verifier that was killed.
func removeStale(path string) error {
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
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return fmt.Errorf("%s: a verifier is already listening there", path)
	}
	return os.Remove(path)
}
