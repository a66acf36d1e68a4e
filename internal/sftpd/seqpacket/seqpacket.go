// Package seqpacket carries messages, with descriptors where they need one,
// between the processes of sftpd.
//
// The entry points are [Pair] and [New]. A message is one packet of a
// SOCK_SEQPACKET socket, so it comes whole or not at all and a peer cannot
// have more memory set aside than one buffer. Descriptors that nobody asked
// for are closed, and none outlives an exec.
package seqpacket

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MaxSize bounds a message in bytes.
const MaxSize = 64 << 10

// maxFiles bounds the descriptors of one message.
const maxFiles = 2

// ErrTooLarge says that a message was longer than its buffer, or had more
// descriptors than are taken. The connection is of no use then.
var ErrTooLarge = errors.New("message too large")

// Conn is one end of a connection. One goroutine may send while another
// receives.
type Conn struct {
	file *os.File
	raw  syscall.RawConn
}

// Pair makes a connection. theirs is for another process.
func Pair() (ours *Conn, theirs *os.File, err error) {
	own, other, err := PlainPair()
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(other), "packet")
	ours, err = New(int(own))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// New takes over fd, one end of a SOCK_SEQPACKET socket.
func New(fd int) (*Conn, error) {
	if err := takeOver(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "packet")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("take over a connection: %w", err)
	}
	return &Conn{file, raw}, nil
}

// takeOver looks what fd is, and keeps it from other programs.
func takeOver(fd int, nonblocking bool) error {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err == nil && kind != unix.SOCK_SEQPACKET {
		err = unix.EPROTOTYPE
	}
	if err == nil {
		err = unix.SetNonblock(fd, nonblocking)
	}
	if err != nil {
		return fmt.Errorf("take over a connection: %w", err)
	}
	unix.CloseOnExec(fd)
	return nil
}

// Close ends the connection; whoever waits on it is told.
func (c *Conn) Close() error { return c.file.Close() }

// Dup returns another descriptor of this end, to be sent to another process
// and closed by the caller.
func (c *Conn) Dup() (fd int, err error) {
	controlled := c.raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(controlled, err)
}

// SetDeadline bounds all sends and receives; the zero time is no bound.
func (c *Conn) SetDeadline(t time.Time) error { return c.file.SetDeadline(t) }

// Send sends a message, which is not empty, with copies of the descriptors.
func (c *Conn) Send(message []byte, fds ...int) error {
	control, err := controlOf(message, fds)
	if err != nil {
		return err
	}
	var sent error
	err = c.raw.Write(func(fd uintptr) bool {
		sent = sendmsg(int(fd), message, control)
		return sent != unix.EAGAIN
	})
	return errors.Join(err, sent)
}

// controlOf looks at what is to be sent and returns its control message.
func controlOf(message []byte, fds []int) ([]byte, error) {
	if len(message) == 0 || len(message) > MaxSize {
		return nil, fmt.Errorf("send %d bytes: %w", len(message), ErrTooLarge)
	}
	if len(fds) == 0 {
		return nil, nil
	}
	return unix.UnixRights(fds...), nil
}

func sendmsg(fd int, message, control []byte) error {
	for {
		if err := unix.Sendmsg(fd, message, control, nil, unix.MSG_NOSIGNAL); err != unix.EINTR {
			return err
		}
	}
}

// Receive reads one message into buffer and returns its length and its
// descriptors, which the caller closes. At the end of the connection the error
// is io.EOF.
func (c *Conn) Receive(buffer []byte) (n int, fds []int, err error) {
	var control [controlSize]byte
	return c.receive(buffer, control[:])
}

// ReceiveMessage reads a message that may bring no descriptors. The process is
// never given those that it brings all the same: to close one of a file of FUSE is
// a request to the program that has the file, which may never answer.
func (c *Conn) ReceiveMessage(buffer []byte) ([]byte, error) {
	n, _, err := c.receive(buffer, nil)
	return buffer[:n], err
}

func (c *Conn) receive(buffer, control []byte) (n int, fds []int, err error) {
	var got received
	err = c.raw.Read(func(fd uintptr) bool {
		got = recvmsg(int(fd), buffer, control)
		return got.err != unix.EAGAIN
	})
	if err != nil {
		return 0, nil, err
	}
	return got.message()
}

// controlSize is more than the descriptors of a message take.
const controlSize = 64

// received is what recvmsg(2) said.
type received struct {
	n, flags int
	control  []byte
	err      error
}

func recvmsg(fd int, buffer, control []byte) received {
	for {
		n, got, flags, _, err := unix.Recvmsg(fd, buffer, control, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			return received{n, flags, control[:max(got, 0)], err}
		}
	}
}

// message looks at what came.
func (r received) message() (n int, fds []int, err error) {
	switch {
	case r.err == unix.ECONNRESET:
		return 0, nil, io.EOF
	case r.err != nil:
		return 0, nil, r.err
	}
	if len(r.control) > 0 {
		fds = rights(r.control)
	}
	if r.flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || len(fds) > maxFiles {
		CloseAll(fds)
		return 0, nil, ErrTooLarge
	}
	if r.n == 0 {
		CloseAll(fds)
		return 0, nil, io.EOF
	}
	return r.n, fds, nil
}

func rights(control []byte) []int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	var all []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err == nil {
			all = append(all, fds...)
		}
	}
	return all
}

// CloseAll closes descriptors that are of no use.
func CloseAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
