package target

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/ledger"
)

// Space is what a directory has left.
type Space struct {
	// Err is why a small file could not be written, and Record why a record of
	// the ledger could not be made there.
	Err, Record error
	// Bytes and Files are free for everybody; Files is 0 too where the file
	// system does not count them, and then Total is.
	Bytes, Files, Total uint64
	// Untried is why no small file was written, though nothing is wrong.
	Untried error
	// Volatile says that it is in memory.
	Volatile bool
}

// recordTime is enough for a slow disk.
const recordTime = 10 * time.Second

// space is space of a machine. Where a tree lies says nothing of the machine.
func (m *Machine) space(dir string) Space {
	found := space(dir)
	found.Volatile = found.Volatile && m.Root == ""
	return found
}

// space writes a file that has no name, so that nothing can be left behind, and
// makes a record as a first login does, which it takes away.
func space(dir string) Space {
	var found Space
	var fsInfo unix.Statfs_t
	if err := unix.Statfs(dir, &fsInfo); err == nil {
		found = Space{Bytes: fsInfo.Bavail * uint64(fsInfo.Bsize), Files: fsInfo.Ffree, Total: fsInfo.Files,
			Volatile: fsInfo.Type == unix.TMPFS_MAGIC || fsInfo.Type == unix.RAMFS_MAGIC}
	}
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		found.Untried = errors.New("its file system has no files without a name")
		return found
	}
	if err == nil {
		if _, err = unix.Write(fd, make([]byte, 4096)); err == nil {
			err = unix.Fsync(fd)
		}
		err = errors.Join(err, unix.Close(fd))
	}
	found.Err = err
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), recordTime)
		defer cancel()
		found.Record = ledger.TryNew(ctx, dir)
	}
	return found
}
