package audit

import (
	"errors"
	"fmt"
	"io"

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
	n, err := unix.Write(fd, []byte(line))
	if err == nil && n < len(line) {
		err = io.ErrShortWrite // the disk is full now
	}
	return err
}
