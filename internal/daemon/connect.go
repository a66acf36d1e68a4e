package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ConnectUnix connects to a socket whose path is known. Where its queue is full it waits
// there until ctx ends, which must have a deadline, and the kernel lets those who wait in
// as they came: package net gives up at once. It holds a thread meanwhile. check, unless it
// is nil, says whether who listens is to be believed.
func ConnectUnix(ctx context.Context, path string, check func(fd int) error) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		end, _ := ctx.Deadline()
		left := unix.NsecToTimeval(max(int64(time.Millisecond), int64(time.Until(end))))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &left); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if errors.Is(err, unix.EAGAIN) {
		return nil, errors.New("it did not answer in time")
	}
	if err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	if check != nil {
		if err := check(fd); err != nil {
			return nil, err
		}
	}
	return net.FileConn(file)
}
