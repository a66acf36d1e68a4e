package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// LockPatience bounds the wait for others who change files. Whoever may read
// the directory can hold its lock, and must not hold everybody up for good.
const LockPatience = 10 * time.Second

// LockTries is how often whoever waits for a lock tries to get it. Nobody is in a
// queue: who locks again at once, for long, has to leave others more time than that.
const LockTries = 5 * time.Millisecond

// LockDir keeps others from changing what is in dir, as far as they ask for the
// lock too. It ends with the process at the latest. For a directory that everybody
// may read there is [LockIn].
func LockDir(dir *File) (unlock func(), err error) { return lockWithin(dir, LockPatience) }

func lockWithin(dir *File, patience time.Duration) (unlock func(), err error) {
	// A descriptor of its own, as goroutines that share one share its lock.
	fd, err := unix.Openat(dir.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, dir.failed("open", err)
	}
	if err := lockFD(fd, dir.Name(), patience); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return func() { _ = unix.Close(fd) }, nil
}

// lockName is a file that nobody but the directory's owner can open.
const lockName = ".lock"

// LockIn is LockDir for a directory that others may read: any local user could hold
// that lock, and so keep commands from their work. It is that of a file which stays
// there.
func LockIn(dir *File) (unlock func(), err error) {
	file, err := CreateIn(dir, lockName)
	if errors.Is(err, fs.ErrExist) {
		file, err = OpenIn(dir, lockName, unix.O_RDWR, Rules{Forbidden: 0o077})
	}
	if err != nil {
		return nil, err
	}
	if err := lockFD(file.fd, file.Name(), LockPatience); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

func lockFD(fd int, name string, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(LockTries) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if err == unix.EINTR || err == unix.EWOULDBLOCK && time.Now().Before(deadline) {
			continue
		}
		err = &fs.PathError{Op: "lock", Path: name, Err: err}
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%w; another process has had its lock for %s: end that one, which lslocks shows, and try again", err, patience)
		}
		return err
	}
}
