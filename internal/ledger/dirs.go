package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// kindDir opens the directory of a kind of keys. The state directory must be
// there: if it is gone, so is the memory of what was used. If the ledger was moved it
// is as good as gone.
func (f *Files) kindDir(kind string) (*safefile.File, error) {
	root, err := safefile.CheckServiceDir(f.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if !f.moving && !stays(kind) {
		switch _, err := root.Look(movedName); {
		case err == nil:
			return nil, f.movedError()
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	dir, err := root.OpenDir(kind)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNone
	}
	return dir, err
}

// makeKindDir is kindDir, but makes the directory if it is missing.
func (f *Files) makeKindDir(kind string) (*safefile.File, error) {
	dir, err := f.kindDir(kind)
	if !errors.Is(err, errNone) {
		return dir, err
	}
	root, err := safefile.OpenServiceDir(f.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// That its name lasts is up to syncUpwards.
	return safefile.MakeDirIn(root, kind)
}

// makeDir makes the state directory, or finds it made by somebody else.
func makeDir(path string) (*safefile.File, error) {
	parent, err := safefile.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	return safefile.MakeDirIn(parent, filepath.Base(path))
}

// syncUpwards puts on disk the names in a kind's directory, in the state
// directory and in the one above: any of the three may be new, and whoever
// made them may have died before saying so to the disk.
func syncUpwards(dir *safefile.File) error {
	fd := dir.Fd()
	for level := 0; ; level++ {
		err := unix.Fsync(fd)
		up := -1
		if err == nil && level < 2 {
			up, err = unix.Openat(fd, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		if level > 0 {
			unix.Close(fd)
		}
		if err != nil {
			return &os.PathError{Op: "sync directories of", Path: dir.Name(), Err: err}
		}
		if up < 0 {
			return nil
		}
		fd = up
	}
}
