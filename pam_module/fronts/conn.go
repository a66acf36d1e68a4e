package fronts

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a front's connection. A front sends its opening at once, and its
// answer too if it has the code from behind the password: for these a thread may
// wait in the kernel, see [Acceptors]. From a wait that gets longer on, as people
// type, Go's poller has the connection, and no thread. It is for one goroutine.
type Conn struct {
	fd       int
	polled   *os.File // once it is the poller's
	deadline time.Time
}

// Credentials are who the kernel says is at the other end: the effective ids
// at the time of its connect. See SO_PEERCRED in unix(7).
func (c *Conn) Credentials() (*unix.Ucred, error) {
	if c.fd < 0 {
		return nil, fmt.Errorf("peer credentials: %w", os.ErrClosed)
	}
	peer, err := unix.GetsockoptUcred(c.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	return peer, nil
}

// soon is how long a wait may last that keeps a thread.
const soon = 2 * time.Millisecond

// wait lets a read keep its thread, but not for longer than soon.
func (c *Conn) wait() error {
	patience := unix.NsecToTimeval(int64(soon))
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience))
}

// SetDeadline bounds all reads and writes from now on. Without one they fail.
func (c *Conn) SetDeadline(at time.Time) error {
	c.deadline = at
	if c.polled != nil {
		return c.polled.SetDeadline(at)
	}
	return nil
}

// Read implements [io.Reader].
func (c *Conn) Read(p []byte) (int, error) {
	if c.polled != nil {
		return c.polled.Read(p)
	}
	if !time.Now().Before(c.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := unix.Read(c.fd, p)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		if err := c.poll(); err != nil {
			return 0, err
		}
		return c.polled.Read(p)
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [io.Writer].
func (c *Conn) Write(p []byte) (int, error) {
	if c.polled != nil {
		return c.polled.Write(p)
	}
	if !time.Now().Before(c.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := unix.SendmsgN(c.fd, p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		n = 0
	case err != nil:
		return 0, os.NewSyscallError("write", err)
	}
	if n == len(p) {
		return n, nil
	}
	if err := c.poll(); err != nil {
		return n, err
	}
	more, err := c.polled.Write(p[n:])
	return n + more, err
}

// poll gives the connection to Go's poller.
func (c *Conn) poll() error {
	if err := unix.SetNonblock(c.fd, true); err != nil {
		return os.NewSyscallError("set nonblock", err)
	}
	c.polled = os.NewFile(uintptr(c.fd), "front")
	return c.polled.SetDeadline(c.deadline)
}

// Close implements [io.Closer].
func (c *Conn) Close() error {
	if c.fd < 0 {
		return os.ErrClosed
	}
	fd := c.fd
	c.fd = -1
	if c.polled != nil {
		return c.polled.Close()
	}
	return os.NewSyscallError("close", unix.Close(fd))
}
