// Package safefile opens and replaces files that decide who gets in.
//
// The entry points are [Read], [OpenDir] and [Replace]. They promise that no
// link is followed in any part of a path, that nothing blocks on a FIFO or a
// device, and that a file is used only if neither it nor any directory above
// it could have been written by somebody else than root or the process's own
// user. See CVE-2024-47191 (pam_oath) and CVE-2024-22365 (pam_namespace) for
// what happens otherwise.
package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnsafe is wrapped by errors about a link, an owner, a mode or a kind of
// file that is refused.
var ErrUnsafe = errors.New("unsafe file")

// Rules say what a file must be like beyond its owner, which is always root
// or the process's effective user.
type Rules struct {
	// Forbidden are permission bits that must not be set, such as 0o077 for a
	// secret or 0o022 for a file that others may read.
	Forbidden fs.FileMode
	// MaxSize is the largest size in bytes that is read.
	MaxSize int64
}

// OpenDir opens a directory for use with the *at system calls, after checking
// every directory on the way. path must be absolute.
func OpenDir(path string) (*os.File, error) {
	clean := filepath.Clean(path)
	if !filepath.IsAbs(clean) {
		return nil, fmt.Errorf("open directory %s: %w: not an absolute path", path, ErrUnsafe)
	}
	// From the top, so that each directory is looked at when nobody but root and
	// ourselves can swap it any more: the one that it is in has been found safe.
	// That takes a third of the system calls of opening one in the other.
	for at := 1; at < len(clean); at++ {
		if clean[at] != '/' {
			continue
		}
		if err := checkAbove(clean[:at]); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Open(clean, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(clean, err)
	}
	if clean != "/" {
		if err := checkDir(fd, clean); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	return os.NewFile(uintptr(fd), clean), nil
}

// checkAbove is checkDir for a directory on the way.
func checkAbove(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return openError(path, unix.ENOTDIR)
	}
	return checkDirStat(st, path)
}

// openError names a link as what it is: with O_DIRECTORY the kernel calls it
// ENOTDIR, without it ELOOP.
func openError(path string, err error) error {
	var st unix.Stat_t
	if (err == unix.ELOOP || err == unix.ENOTDIR) && unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return fmt.Errorf("%s: %w: it is a symbolic link, which is never followed; name the real path", path, ErrUnsafe)
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

// checkDir refuses a directory in which a stranger could replace a name. A
// sticky one, such as /tmp, protects the names that others made in it.
func checkDir(fd int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return checkDirStat(st, path)
}

func checkDirStat(st unix.Stat_t, path string) error {
	if err := checkOwner(path, st.Uid); err != nil {
		return err
	}
	if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return fmt.Errorf("directory %s: %w: mode %04o lets others write in it; run chmod go-w", path, ErrUnsafe, st.Mode&0o7777)
	}
	return nil
}

func checkOwner(path string, uid uint32) error {
	if uid == 0 || int(uid) == unix.Geteuid() {
		return nil
	}
	return fmt.Errorf("%s: %w: owned by uid %d, expected root%s; run chown", path, ErrUnsafe, uid, orSelf())
}

func orSelf() string {
	if uid := unix.Geteuid(); uid != 0 {
		return fmt.Sprintf(" or uid %d", uid)
	}
	return ""
}

// OpenIn opens the regular file name in dir with flags and checks it against
// rules. The open file is what is checked, so nobody can swap it in between.
func OpenIn(dir *os.File, name string, flags int, rules Rules) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	if name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return nil, fmt.Errorf("open %s: %w: %q is no file name", dir.Name(), ErrUnsafe, name)
	}
	for range maxOpens {
		fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, openError(path, err)
		}
		replaced, err := checkFile(fd, path, rules)
		if err == nil && !replaced {
			return os.NewFile(uintptr(fd), path), nil
		}
		unix.Close(fd)
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("open %s: it is being replaced all the time", path)
}

// maxOpens bounds how often a file that was replaced between its opening and
// its check is opened again.
const maxOpens = 100

// checkFile says whether the open file has no name any more, because another
// took its place.
func checkFile(fd int, path string, rules Rules) (replaced bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Nlink == 0 {
		return true, nil
	}
	return false, checkStat(st, path, rules)
}

func checkStat(st unix.Stat_t, path string, rules Rules) error {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s: %w: it is %s, expected a regular file", path, ErrUnsafe, kindName(st.Mode))
	}
	if err := checkOwner(path, st.Uid); err != nil {
		return err
	}
	if wrong := st.Mode & uint32(rules.Forbidden.Perm()); wrong != 0 {
		want := st.Mode & 0o777 &^ uint32(rules.Forbidden.Perm())
		return fmt.Errorf("%s: %w: mode %04o, expected at most %04o; run chmod", path, ErrUnsafe, st.Mode&0o7777, want)
	}
	// None is fine: the file was replaced after it was opened, so the caller
	// has the one that was there before.
	if st.Nlink > 1 {
		return fmt.Errorf("%s: %w: it has %d hard links, expected 1", path, ErrUnsafe, st.Nlink)
	}
	if rules.MaxSize > 0 && st.Size > rules.MaxSize {
		return fmt.Errorf("%s: %w: %d bytes, expected at most %d", path, ErrUnsafe, st.Size, rules.MaxSize)
	}
	return nil
}

func kindName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "a device"
	}
	return "no regular file"
}
