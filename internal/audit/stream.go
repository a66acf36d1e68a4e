package audit

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Stream takes lines on a descriptor, such as a daemon's standard error. Whoever
// should read there and does not holds up nobody for long.
type Stream struct {
	fd       int
	turn     chan struct{}
	patience time.Duration
}

// NewStream returns a stream on fd, which stays the caller's.
func NewStream(fd int) *Stream {
	return &Stream{fd: fd, turn: make(chan struct{}, 1), patience: sendTimeout}
}

// pipeBuf is what poll(2) promises room for in a pipe. A line up to that is written
// whole or not at all.
const pipeBuf = 4096

func (s *Stream) write(line string) error {
	if !s.begin() {
		return unix.EAGAIN
	}
	defer func() { <-s.turn }()
	deadline := time.Now().Add(s.patience)
	for rest := []byte(line); len(rest) > 0; {
		if err := s.awaitRoom(deadline); err != nil {
			return err
		}
		n, err := unix.Write(s.fd, rest[:min(len(rest), pipeBuf)])
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		rest = rest[max(n, 0):]
	}
	return nil
}

// begin waits until nobody else writes.
func (s *Stream) begin() bool {
	select {
	case s.turn <- struct{}{}:
		return true
	default:
	}
	late := time.NewTimer(s.patience)
	defer late.Stop()
	select {
	case s.turn <- struct{}{}:
		return true
	case <-late.C:
		return false
	}
}

// awaitRoom waits until a write of pipeBuf bytes does not.
func (s *Stream) awaitRoom(deadline time.Time) error {
	for {
		left := max(time.Until(deadline).Milliseconds(), 0)
		ready := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(ready, int(left))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case n > 0: // however late it is: this process may have been held up itself
			return nil
		case left == 0:
			return unix.EAGAIN
		}
	}
}
