package account

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// stamp is what changes when a file does.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	// settled says that the last change was some time ago when this was taken.
	// Two changes at once may leave the same times: those come from a clock
	// that ticks, on some file systems slowly.
	settled bool
}

// settle is more than the ticks of all file systems in use, of which FAT's are
// the longest.
const settle = 3 * time.Second

// stampOf must be called before the file is read: a change from then on gives
// another stamp.
func stampOf(file *os.File) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return stamp{}, &os.PathError{Op: "stat", Path: file.Name(), Err: err}
	}
	age := time.Since(time.Unix(st.Ctim.Unix()))
	return stamp{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim, age > settle}, nil
}
