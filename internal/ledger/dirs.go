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
// there: if it is gone, so is the memory of what was used.
func (f *Files) kindDir(kind string) (*os.File, error) {
	dir, err := safefile.OpenDir(filepath.Join(f.dir, kind))
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	root, err := safefile.OpenDir(f.dir)
	if err != nil {
		return nil, err
	}
	return nil, errors.Join(errNone, root.Close())
}

// makeKindDir is kindDir, but makes the directory if it is missing.
func (f *Files) makeKindDir(kind string) (*os.File, error) {
	dir, err := f.kindDir(kind)
	if errors.Is(err, errNone) {
		return makeDir(filepath.Join(f.dir, kind))
	}
	return dir, err
}

// makeDir makes a directory, or finds it made by somebody else. That its name
// lasts is up to syncUpwards.
func makeDir(path string) (*os.File, error) {
	parent, err := safefile.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	name := filepath.Base(path)
	err = unix.Mkdirat(int(parent.Fd()), name, 0o700)
	if err != nil && err != unix.EEXIST {
		return nil, &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return safefile.OpenDirIn(parent, name)
}

// syncUpwards puts on disk the names in a kind's directory, in the state
// directory and in the one above: any of the three may be new, and whoever
// made them may have died before saying so to the disk.
func syncUpwards(dir *os.File) error {
	fd := int(dir.Fd())
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

// createIn makes the file name in dir, which must not exist, for the owner
// alone.
func createIn(dir *os.File, name string) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
