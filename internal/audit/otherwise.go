package audit

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultFile is where lines go that the system's log does not take, if root has
// made it, as in containers, where mostly nobody listens at /dev/log. It is one
// place and no setting: that the settings are wrong is to be said there, too, and
// by the front, which does not read them.
const DefaultFile = "/var/log/otpgate.log"

// openFile opens the file for one more line, if it is one that root has made for
// that. Lines hold what came from outside, a password typed as a name at times.
func openFile(path string) (fd int, err error) {
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err = unix.Open(path, flags, 0)
	if err != nil {
		return -1, fmt.Errorf("open: %w", err)
	}
	if err := checkFile(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func checkFile(fd int) error {
	var file unix.Stat_t
	if err := unix.Fstat(fd, &file); err != nil {
		return fmt.Errorf("look at: %w", err)
	}
	switch {
	case file.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("expected a regular file")
	case file.Uid != 0:
		return fmt.Errorf("expected a file of root's, found one of uid %d", file.Uid)
	case file.Nlink != 1:
		return fmt.Errorf("expected a file with one name, found one with %d", file.Nlink)
	case file.Mode&0o027 != 0:
		return fmt.Errorf("expected mode 0640 or less, found %#o", file.Mode&0o777)
	}
	return nil
}

// CheckFile says why no line can be added to the file at path, if so. It writes
// nothing.
func CheckFile(path string) error {
	fd, err := openFile(path)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// appendLine adds the line with one write, so that no other's comes in between.
func appendLine(path, line string) error {
	fd, err := openFile(path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(line))
	return err
}

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
