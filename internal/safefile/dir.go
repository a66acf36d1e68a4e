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
	if there, err := isIn(above, name); there || err != nil {
		return err
	}
	unlock, err := LockDir(above)
	if err != nil {
		return err
	}
	defer unlock()
	if there, err := isIn(above, name); there || err != nil {
		return err
	}
	if err := makeNewDir(above, temporaryPrefix+name, mode, owner); err != nil {
		return fmt.Errorf("make directory %s: %w", above.in(name), err)
	}
	if err := unix.Renameat(above.fd, temporaryPrefix+name, above.fd, name); err != nil {
		_ = unix.Unlinkat(above.fd, temporaryPrefix+name, unix.AT_REMOVEDIR)
		return fmt.Errorf("make directory %s: %w", above.in(name), err)
	}
	return syncDir(above)
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

// makeNewDir makes a directory under a name that a killed process may have left one at.
func makeNewDir(above *File, name string, mode fs.FileMode, owner Owner) error {
	if err := unix.Unlinkat(above.fd, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "remove", Path: above.in(name), Err: err}
	}
	if err := unix.Mkdirat(above.fd, name, 0o700); err != nil {
		return &fs.PathError{Op: "mkdir", Path: above.in(name), Err: err}
	}
	dir, err := openDirAt(above.fd, name, above.in(name), above.seen, checkDir)
	if err != nil {
		return err
	}
	err = dir.Chmod(mode)
	if err == nil && owner != (Owner{}) && unix.Geteuid() == 0 {
		err = dir.failed("chown", unix.Fchown(dir.fd, int(owner.UID), int(owner.GID)))
	}
	if err = errors.Join(err, dir.Close()); err != nil {
		_ = unix.Unlinkat(above.fd, name, unix.AT_REMOVEDIR)
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
