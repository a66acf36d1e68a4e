package safefile

import (
	"time"

	"golang.org/x/sys/unix"
)

// Stamp is what changes when a file does. The zero value is of no file. Two that
// are the same say that nothing changed only if the first was Settled.
type Stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	// dirOwner decides with the file's own owner whether it is believed.
	dirOwner uint32
	settled  bool
}

// settle is more than the ticks of all file systems in use, of which FAT's are
// the longest.
const settle = 3 * time.Second

// StampOf takes the state that the file was in before it was read, now: a change
// from then on gives another stamp.
func StampOf(st unix.Stat_t, dirOwner uint32, now time.Time) Stamp {
	age := now.Sub(time.Unix(st.Ctim.Unix()))
	return Stamp{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim, dirOwner, age > settle}
}

// Settled says that the last change was some time ago when the stamp was taken.
// Two changes at once may leave the same times: those come from a clock that
// ticks, on some file systems slowly.
func (s Stamp) Settled() bool { return s.settled }

// Unchanged says whether the file name in the directory at path is as it was
// when s was taken. The directories on the way are checked again. If it cannot be
// told, reading the file tells why.
func (s Stamp) Unchanged(path, name string) bool {
	if !s.settled {
		return false
	}
	dir, err := CheckServiceDir(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	now, err := dir.Look(name)
	stamp := StampOf(now, dir.Owner(), time.Time{})
	stamp.settled = true // as s is, and the time of the last change is the same
	return err == nil && stamp == s
}
