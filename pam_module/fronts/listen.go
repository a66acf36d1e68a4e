package fronts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Socket is a listening socket. It is kept from Go's poller, see [Acceptors].
type Socket struct {
	fd int
	// path is what close takes away: nothing if the socket is systemd's.
	path string
}

// Passed takes the socket that systemd passes (sd_listen_fds(3)).
func Passed(files []*os.File) (*Socket, error) {
	if len(files) != 1 {
		return nil, fmt.Errorf("systemd passed %d sockets, expected one", len(files))
	}
	return takeOver(files[0])
}

// takeOver makes a listener of an open file, and closes that.
func takeOver(passed *os.File) (*Socket, error) {
	defer passed.Close()
	fd, err := unix.FcntlInt(passed.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("take systemd's socket: %w", err)
	}
	if err := checkPassed(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// An acceptor that finds nothing must not stay there.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("take systemd's socket: %w", err)
	}
	return &Socket{fd: fd}, nil
}

func checkPassed(fd int) error {
	for _, option := range []struct{ name, want int }{
		{unix.SO_DOMAIN, unix.AF_UNIX}, {unix.SO_TYPE, unix.SOCK_STREAM}, {unix.SO_ACCEPTCONN, 1},
	} {
		found, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option.name)
		if err != nil {
			return fmt.Errorf("take systemd's socket: %w", err)
		}
		if found != option.want {
			return errors.New("systemd passed another kind of socket, expected a unix stream socket that listens; see ListenStream= of the socket unit")
		}
	}
	return nil
}

// ListenAt makes a socket that everybody may connect to: who may ask what is
// decided by the kernel's word on who it is.
func ListenAt(path string) (*Socket, error) {
	parent := filepath.Dir(path)
	if err := os.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("directory of the socket: %w", err)
	}
	dir, err := safefile.OpenDir(parent)
	if err != nil {
		return nil, fmt.Errorf("directory of the socket: %w", err)
	}
	defer dir.Close()
	if err := daemon.RemoveStale(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	// The mode comes before anybody can be answered, and not from the umask, which is
	// the whole process's.
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	if err == nil {
		err = os.Chmod(path, 0o666)
	}
	if err == nil {
		err = unix.Listen(fd, queue)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	return &Socket{fd: fd, path: path}, nil
}

// queue is how many connections may wait to be taken. A program that connects
// and closes as fast as it can keeps it full, and a front waits for all that are
// ahead of it; who finds it full waits in connect(2), once for each thread that
// does so, and the front for two seconds at most. The socket unit has the same.
const queue = 128

// accept takes a front, or nil if there is none. One that is alone may keep its
// thread for a while when it is waited for, see [Conn.wait].
func (s *Socket) accept(alone bool) (*Conn, error) {
	flags := unix.SOCK_CLOEXEC
	if !alone {
		flags |= unix.SOCK_NONBLOCK
	}
	fd, _, err := unix.Accept4(s.fd, flags)
	if err == unix.EAGAIN || err == unix.EINTR || err == unix.ECONNABORTED {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("accept", err)
	}
	return &Conn{fd: fd}, nil
}

// Close stops listening. Fronts find no socket then, and fork a core.
func (s *Socket) Close() error {
	var err error
	if s.path != "" {
		err = unix.Unlink(s.path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err != nil:
		err = &fs.PathError{Op: "remove", Path: s.path, Err: err}
	}
	return errors.Join(err, os.NewSyscallError("close", unix.Close(s.fd)))
}
