package account

import (
	"time"

	"golang.org/x/sys/unix"
)

// stamp is what changes when a file does.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	// dirOwner decides with the file's own owner whether it is believed.
	dirOwner uint32
	// settled says that the last change was some time ago when this was taken.
	// Two changes at once may leave the same times: those come from a clock
	// that ticks, on some file systems slowly.
	settled bool
}

// settle is more than the ticks of all file systems in use, of which FAT's are
// the longest.
const settle = 3 * time.Second

// stampOf takes the state that the file was in before it was read: a change
// from then on gives another stamp.
func stampOf(st unix.Stat_t, dirOwner uint32) stamp {
	age := time.Since(time.Unix(st.Ctim.Unix()))
	return stamp{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim, dirOwner, age > settle}
}
