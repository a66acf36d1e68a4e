package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Owner is whom a directory is made for. The zero value is root, and whoever makes it
// where that is not root.
type Owner struct{ UID, GID uint32 }

// MakeDir makes the directory at path, an absolute path, if there is none, with mode
// whatever the umask takes away. The one that it is in must be there. One that came to
// its name has its mode and its owner, also if the process is killed meanwhile.
func MakeDir(path string, mode fs.FileMode, owner Owner) error {
	above, err := OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer above.Close()
	name := filepath.Base(path)
	for {
		there, err := isIn(above, name)
		if !there && err == nil {
			err = makeDirOnce(above, name, mode, owner)
		}
		if !errors.Is(err, errRaced) {
			return err
		}
	}
}

// errRaced says that somebody else was quicker.
var errRaced = errors.New("made or taken away by somebody else")

// makeDirOnce makes the directory within another one, which a killed process may have
// left. Whoever holds that one's lock makes it: nobody but its owner can open that, while
// anybody can hold the lock of the directory above.
func makeDirOnce(above *File, name string, mode fs.FileMode, owner Owner) error {
	temporary := temporaryPrefix + name
	failed := func(err error) error { return fmt.Errorf("make directory %s: %w", above.in(name), err) }
	if err := unix.Mkdirat(above.fd, temporary, 0o700); err != nil && err != unix.EEXIST {
		return failed(&fs.PathError{Op: "mkdir", Path: above.in(temporary), Err: err})
	}
	if err := removeOpen(above, temporary); err != nil {
		return failed(err)
	}
	around, err := openDirAt(above.fd, temporary, above.in(temporary), above.seen, checkDir)
	if errors.Is(err, fs.ErrNotExist) {
		return errRaced
	}
	if err != nil {
		return failed(err)
	}
	defer around.Close()
	unlock, err := LockDir(around)
	if err != nil {
		return failed(err)
	}
	defer unlock()
	switch at, err := isAt(above, temporary, around); {
	case err != nil:
		return failed(err)
	case !at:
		return errRaced
	}
	there, err := isIn(above, name)
	if err == nil && !there {
		err = makeWithin(around, above, name, mode, owner)
	}
	_ = unix.Unlinkat(above.fd, temporary, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.ENOENT) {
		return errRaced
	}
	if err != nil {
		return failed(err)
	}
	if there {
		return nil
	}
	return syncDir(above)
}

// makeWithin makes the directory in around, and moves it to above once it is finished.
func makeWithin(around, above *File, name string, mode fs.FileMode, owner Owner) error {
	// A killed process may have left one.
	if err := unix.Unlinkat(around.fd, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "remove", Path: around.in(name), Err: err}
	}
	if err := unix.Mkdirat(around.fd, name, 0o700); err != nil {
		return &fs.PathError{Op: "mkdir", Path: around.in(name), Err: err}
	}
	dir, err := openDirAt(around.fd, name, around.in(name), around.seen, checkDir)
	if err == nil {
		err = errors.Join(finish(dir, mode, owner), dir.Close())
	}
	if err == nil {
		err = unix.Renameat(around.fd, name, above.fd, name)
	}
	if err != nil {
		_ = unix.Unlinkat(around.fd, name, unix.AT_REMOVEDIR)
	}
	return err
}

func isIn(dir *File, name string) (bool, error) {
	var there unix.Stat_t
	err := unix.Fstatat(dir.fd, name, &there, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, &fs.PathError{Op: "stat", Path: dir.in(name), Err: err}
	}
	return true, nil
}

// removeOpen takes a temporary directory away that others may have opened, as an earlier
// version left it: they could hold its lock. One with something in it is somebody else's
// new one.
func removeOpen(above *File, temporary string) error {
	var there unix.Stat_t
	err := unix.Fstatat(above.fd, temporary, &there, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && (there.Mode&0o077 != 0 || int(there.Uid) != unix.Geteuid()) {
		err = unix.Unlinkat(above.fd, temporary, unix.AT_REMOVEDIR)
	}
	if err != nil && err != unix.ENOENT && err != unix.ENOTEMPTY && err != unix.EEXIST {
		return &fs.PathError{Op: "remove", Path: above.in(temporary), Err: err}
	}
	return nil
}

// isAt says whether the name in above still leads to dir.
func isAt(above *File, name string, dir *File) (bool, error) {
	var there unix.Stat_t
	switch err := unix.Fstatat(above.fd, name, &there, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return there.Dev == dir.seen.Dev && there.Ino == dir.seen.Ino, nil
	case unix.ENOENT:
		return false, nil
	default:
		return false, &fs.PathError{Op: "stat", Path: above.in(name), Err: err}
	}
}

// finish gives a new directory its mode and its owner.
func finish(dir *File, mode fs.FileMode, owner Owner) error {
	err := dir.Chmod(mode)
	if err == nil && owner != (Owner{}) && unix.Geteuid() == 0 {
		err = dir.failed("chown", unix.Fchown(dir.fd, int(owner.UID), int(owner.GID)))
	}
	return err
}

// OpenDirIn opens the directory name in an open directory, with the checks of
// OpenDir. It belongs to the owner of the directory it is in.
func OpenDirIn(dir *File, name string) (*File, error) {
	if !isFileName(name) {
		return nil, fmt.Errorf("open directory in %s: %w: %q is no file name", dir.Name(), ErrUnsafe, name)
	}
	return openDirAt(dir.fd, name, dir.in(name), dir.seen, checkDirIn)
}
