package ledger

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// Two locks guard a record file, and both belong to the open file, so they
// hold between goroutines as well as processes and end with whoever dies:
//
//   - flock on the file: whose turn it is to change the entry.
//   - an open-file-description lock on a slot: this slot is being written and
//     may not be on disk yet. Readers ask for it and never take it.

// The pauses between attempts to get the lock. The first is about as long as
// a quick disk needs for the write that is waited for.
const (
	firstPause = 200 * time.Microsecond
	longPause  = 4 * time.Millisecond
)

// lockFile waits for the file's lock, LOCK_EX or LOCK_SH, until ctx ends, or for
// [safefile.LockPatience] where it has no end: whoever has the lock may be stopped. It
// polls because a thread that sleeps in flock cannot be called back.
func lockFile(ctx context.Context, file *safefile.File, how int) error {
	if _, ends := ctx.Deadline(); !ends {
		bounded, cancel := context.WithTimeout(ctx, safefile.LockPatience)
		defer cancel()
		ctx = bounded
	}
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		switch err := unix.Flock(file.Fd(), how|unix.LOCK_NB); err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
		default:
			return &os.PathError{Op: "lock", Path: file.Name(), Err: err}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the lock: %w; end the process that has it, which lslocks shows", ctx.Err())
		case <-timer.C:
		}
	}
}

// isAt says whether the name in dir still leads to file. It does not once the
// file was replaced by a larger one or removed while its lock was waited for.
func isAt(dir *safefile.File, name string, file *safefile.File) (bool, error) {
	var there unix.Stat_t
	err := unix.Fstatat(dir.Fd(), name, &there, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, &os.PathError{Op: "stat", Path: file.Name(), Err: err}
	}
	here := file.Seen()
	return there.Dev == here.Dev && there.Ino == here.Ino, nil
}

// setSlotLock marks the slot at offset as being written, or no longer. It
// must be taken back before the file is closed: a program that is starting
// another one has, for a moment, a copy of the open file in the child.
func setSlotLock(file *safefile.File, kind int16, offset, size int64) error {
	lock := unix.Flock_t{Type: kind, Start: offset, Len: size}
	if err := unix.FcntlFlock(uintptr(file.Fd()), unix.F_OFD_SETLK, &lock); err != nil {
		return &os.PathError{Op: "lock slot of", Path: file.Name(), Err: err}
	}
	return nil
}

// slotBusy says whether the slot at offset is being written.
func slotBusy(file *safefile.File, offset, size int64) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_RDLCK, Start: offset, Len: size}
	if err := unix.FcntlFlock(uintptr(file.Fd()), unix.F_OFD_GETLK, &lock); err != nil {
		return false, &os.PathError{Op: "query lock of", Path: file.Name(), Err: err}
	}
	return lock.Type != unix.F_UNLCK, nil
}
