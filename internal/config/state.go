package config

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// State is what changes when a configuration file does. Two that are the same
// say that it has not changed only if the first was Settled.
type State struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	missing      bool
}

// StateOf looks at the file at path, which is as for Load. None is a state too.
func StateOf(path string) (State, error) {
	if path == "" {
		path = DefaultPath
	}
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return State{missing: true}, nil
	}
	if err != nil {
		return State{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return State{dev: st.Dev, ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}, nil
}

// settle is how long after a change another one may leave the file's state as
// it is: its times come from a clock that ticks, on some file systems slowly.
const settle = 2 * time.Second

// Settled says whether any change after this look gives another state.
func (s State) Settled(now time.Time) bool {
	return s.missing || now.Sub(time.Unix(s.ctime.Unix())).Abs() >= settle
}
