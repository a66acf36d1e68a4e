package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// A directory may belong to a service user, so that a verifier without root's
// rights and root's own programs share what is in it. That user can then do
// there as it likes, which is what it is for. What it must not get is root's
// hand outside: no link is followed, a file with a second name is refused, and
// what root makes there is made with that user's rights, never made and then
// given away.

// maxServiceUID is the highest id of users that no person logs in as, see
// SYS_UID_MAX in login.defs(5). So no home is taken for a service's directory.
const maxServiceUID = 999

// OpenServiceDir is OpenDir for a directory that may also belong to a service
// user, if root has put it where it is: the directory above must be root's and
// nobody else's to write in. The owner is then trusted for what is in it.
func OpenServiceDir(path string) (*os.File, error) { return walk(path, checkServiceDir) }

func checkServiceDir(st, above unix.Stat_t, path string) error {
	byRoot := above.Uid == 0 && above.Mode&0o022 == 0
	if !byRoot || st.Uid > maxServiceUID {
		return checkDir(st, above, path)
	}
	return checkWriters(st, path)
}

// checkDirIn is checkDir below a directory that has passed.
func checkDirIn(st, above unix.Stat_t, path string) error {
	if err := checkOwnerIn(path, st.Uid, above.Uid); err != nil {
		return err
	}
	return checkWriters(st, path)
}

// checkOwnerIn is checkOwner for what is in a directory of dirOwner's. Where
// that is a service user, root takes nothing but what is that user's own: the
// number of links is no proof there, as the owner can link somebody's file,
// have root open it, and take the link away before root counts.
func checkOwnerIn(path string, uid, dirOwner uint32) error {
	switch {
	case uid == dirOwner:
		return nil
	case dirOwner == 0 || unix.Geteuid() != 0:
		return checkOwner(path, uid)
	}
	return fmt.Errorf("%s: %w: owned by uid %d, expected uid %d as the directory is; run chown", path, ErrUnsafe, uid, dirOwner)
}

func ownerOf(dir *os.File) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return st, &fs.PathError{Op: "stat", Path: dir.Name(), Err: err}
	}
	return st, nil
}

// CreateIn makes the file name in dir, which must not exist, for the owner of
// the directory alone, open for reading and writing.
func CreateIn(dir *os.File, name string) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	fd := -1
	err := asOwner(dir, func() (err error) {
		fd, err = unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// MakeDirIn makes the directory name in dir for the owner of dir alone, or
// finds one there, and opens it.
func MakeDirIn(dir *os.File, name string) (*os.File, error) {
	err := asOwner(dir, func() error { return unix.Mkdirat(int(dir.Fd()), name, 0o700) })
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &fs.PathError{Op: "mkdir", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return OpenDirIn(dir, name)
}

// asOwner has root do something with the rights of the directory's owner, so
// that what is made belongs to that user from the first moment: a process that
// is killed leaves nothing of root's there, and no chown can be led astray.
func asOwner(dir *os.File, do func() error) error {
	st, err := ownerOf(dir)
	if err != nil {
		return err
	}
	if unix.Geteuid() != 0 || st.Uid == 0 {
		return do()
	}
	// The ids for files are the thread's own, see setfsuid(2).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	gid, err := unix.SetfsgidRetGid(int(st.Gid))
	if err != nil {
		return err
	}
	defer func() { _ = unix.Setfsgid(gid) }()
	uid, err := unix.SetfsuidRetUid(int(st.Uid))
	if err != nil {
		return err
	}
	defer func() { _ = unix.Setfsuid(uid) }()
	// The call tells of no failure; only asking again does.
	if now, err := unix.SetfsuidRetUid(-1); err != nil || now != int(st.Uid) {
		return fmt.Errorf("cannot act as uid %d, the directory's owner: %w", st.Uid, unix.EPERM)
	}
	return do()
}
