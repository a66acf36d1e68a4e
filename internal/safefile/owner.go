package safefile

import (
	"errors"
	"fmt"
	"io/fs"
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
func OpenServiceDir(path string) (*File, error) { return walk(path, checkServiceDir) }

// ServiceDir is a directory that has passed the checks of OpenServiceDir, mostly
// without being opened.
type ServiceDir struct {
	path string
	seen unix.Stat_t
	// open is set where looking at paths would not have been enough.
	open *File
}

// CheckServiceDir is OpenServiceDir for what needs no more than a name in it.
// It must be closed.
func CheckServiceDir(path string) (ServiceDir, error) {
	clean, err := cleaned(path)
	if err != nil {
		return ServiceDir{}, err
	}
	above, err := checkAbove(clean)
	if errors.Is(err, errShared) {
		dir, err := walkOpen(clean, checkServiceDir)
		if err != nil {
			return ServiceDir{}, err
		}
		return ServiceDir{clean, dir.seen, dir}, nil
	}
	if err != nil {
		return ServiceDir{}, err
	}
	st, err := lookAtDir(clean)
	if err == nil && clean != "/" {
		err = checkServiceDir(st, above, clean)
	}
	return ServiceDir{clean, st, nil}, err
}

// Close closes what has been opened, if anything.
func (s ServiceDir) Close() error { return s.open.Close() }

// Owner returns the user id of the directory's owner.
func (s ServiceDir) Owner() uint32 { return s.seen.Uid }

// at returns how the *at system calls reach a name in the directory.
func (s ServiceDir) at(name string) (fd int, path string) {
	if s.open != nil {
		return s.open.fd, name
	}
	return unix.AT_FDCWD, filepath.Join(s.path, name)
}

// OpenDir is OpenDirIn for it. Who owns the directory can put a link there
// in between, which is not followed, or another directory, which is checked.
func (s ServiceDir) OpenDir(name string) (*File, error) {
	if !isFileName(name) {
		return nil, fmt.Errorf("open directory in %s: %w: %q is no file name", s.path, ErrUnsafe, name)
	}
	fd, reached := s.at(name)
	return openDirAt(fd, reached, filepath.Join(s.path, name), s.seen, checkDirIn)
}

// Look returns the state of what has that name there, be it a link. Nothing of
// it has been checked.
func (s ServiceDir) Look(name string) (st unix.Stat_t, err error) {
	fd, reached := s.at(name)
	if err = unix.Fstatat(fd, reached, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		err = &fs.PathError{Op: "stat", Path: filepath.Join(s.path, name), Err: err}
	}
	return st, err
}

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

// CreateIn makes the file name in dir, which must not exist, for the owner of
// the directory alone, open for reading and writing.
func CreateIn(dir *File, name string) (*File, error) {
	path := dir.in(name)
	fd := -1
	err := asOwner(dir, func() (err error) {
		fd, err = unix.Openat(dir.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	file := &File{fd: fd, path: path}
	if err := file.look(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return file, nil
}

// MakeDirIn makes the directory name in dir for the owner of dir alone, or
// finds one there, and opens it.
func MakeDirIn(dir *File, name string) (*File, error) {
	err := asOwner(dir, func() error { return unix.Mkdirat(dir.fd, name, 0o700) })
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &fs.PathError{Op: "mkdir", Path: dir.in(name), Err: err}
	}
	return OpenDirIn(dir, name)
}

// asOwner has root do something with the rights of the directory's owner, so
// that what is made belongs to that user from the first moment: a process that
// is killed leaves nothing of root's there, and no chown can be led astray.
func asOwner(dir *File, do func() error) error {
	// Commands keep a directory open, and it may be given away meanwhile.
	var st unix.Stat_t
	if err := dir.failed("stat", unix.Fstat(dir.fd, &st)); err != nil {
		return err
	}
	return asUser(st.Uid, st.Gid, do)
}

// asUser has root do something with the rights of a user, as far as files go.
func asUser(uid, gid uint32, do func() error) error {
	if unix.Geteuid() != 0 || uid == 0 {
		return do()
	}
	// The ids for files are the thread's own, see setfsuid(2).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rootsGID, err := unix.SetfsgidRetGid(int(gid))
	if err != nil {
		return err
	}
	defer func() { _ = unix.Setfsgid(rootsGID) }()
	rootsUID, err := unix.SetfsuidRetUid(int(uid))
	if err != nil {
		return err
	}
	defer func() { _ = unix.Setfsuid(rootsUID) }()
	// The call tells of no failure; only asking again does.
	if now, err := unix.SetfsuidRetUid(-1); err != nil || now != int(uid) {
		return fmt.Errorf("cannot act as uid %d: %w", uid, unix.EPERM)
	}
	return do()
}
