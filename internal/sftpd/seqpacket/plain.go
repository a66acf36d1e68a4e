package seqpacket

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Plain is one end of a connection, by its descriptor. Its calls hold up the
// thread: it is for a process that does one thing after the other and waits
// with poll(2), and that Go's poller would give threads and memory to no end.
type Plain int

// PlainPair makes a connection. theirs is for another process, and closed by
// an exec until it is passed on.
func PlainPair() (ours, theirs Plain, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("socketpair: %w", err)
	}
	return Plain(fds[0]), Plain(fds[1]), nil
}

// TakeOver is for a descriptor that the process was started with.
func TakeOver(fd int) (Plain, error) {
	if err := takeOver(fd, false); err != nil {
		return -1, err
	}
	return Plain(fd), nil
}

// Send is as [Conn.Send].
func (p Plain) Send(message []byte, fds ...int) error {
	control, err := controlOf(message, fds)
	if err != nil {
		return err
	}
	return sendmsg(int(p), message, control)
}

// Receive is as [Conn.Receive].
func (p Plain) Receive(buffer []byte) (n int, fds []int, err error) {
	var control [controlSize]byte
	return recvmsg(int(p), buffer, control[:]).message()
}

// Close closes the descriptor.
func (p Plain) Close() error { return unix.Close(int(p)) }
