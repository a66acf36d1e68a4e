// Package safefile opens and replaces files that decide who gets in.
//
// The entry points are [Read], [OpenDir], [OpenServiceDir] and [Replace]. They
// promise that no link is followed in any part of a path, that nothing blocks
// on a FIFO or a device, and that a file is used only if neither it nor any
// directory above it could have been written by somebody else than root, the
// process's own user, or the service user whom root has made the directory for. See CVE-2024-47191 (pam_oath) and CVE-2024-22365 (pam_namespace) for
// what happens otherwise.
package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnsafe is wrapped by errors about a link, an owner, a mode or a kind of
// file that is refused.
var ErrUnsafe = errors.New("unsafe file")

// Rules say what a file must be like beyond its owner, which is always root or
// the process's effective user, or that of the directory it is in.
type Rules struct {
	// Forbidden are permission bits that must not be set, such as 0o077 for a
	// secret or 0o022 for a file that others may read.
	Forbidden fs.FileMode
	// MaxSize is the largest size in bytes that is read.
	MaxSize int64
}

// OpenDir opens a directory for use with the *at system calls, after checking
// every directory on the way. path must be absolute.
func OpenDir(path string) (*File, error) { return walk(path, checkDir) }

// walk opens a directory by way of all above it. check is given the directory at its end.
func walk(path string, check dirCheck) (*File, error) {
	clean, err := cleaned(path)
	if err != nil {
		return nil, err
	}
	above, err := checkAbove(clean)
	if errors.Is(err, errShared) {
		return walkOpen(clean, check)
	}
	if err != nil {
		return nil, err
	}
	return openDirAt(unix.AT_FDCWD, clean, clean, above, check)
}

// walkOpen opens one directory after the other on the way to clean, so that
// nothing that is put in the place of one of them meanwhile counts.
func walkOpen(clean string, check dirCheck) (*File, error) {
	dir, err := openDirAt(unix.AT_FDCWD, "/", "/", unix.Stat_t{}, checkDir)
	for name := range strings.SplitSeq(strings.Trim(clean, "/"), "/") {
		if err != nil || name == "" {
			break
		}
		here := checkDir
		if dir.in(name) == clean {
			here = check
		}
		next, failed := openDirAt(dir.fd, name, dir.in(name), dir.seen, here)
		dir.Close()
		dir, err = next, failed
	}
	return dir, err
}

// errShared says that a directory on the way is one in which others make names
// of their own, such as /tmp.
var errShared = errors.New("a directory on the way is shared")

// dirCheck looks at a directory, given the one that it is in.
type dirCheck func(st, above unix.Stat_t, path string) error

func cleaned(path string) (string, error) {
	clean := filepath.Clean(path)
	if !filepath.IsAbs(clean) {
		return "", fmt.Errorf("open directory %s: %w: not an absolute path", path, ErrUnsafe)
	}
	return clean, nil
}

// checkAbove checks every directory above clean, from the top, and returns
// what the last of them is like.
//
// They are looked at by their paths and not opened one by one. That is as good,
// since only root and the process's own user can change a name in a directory
// that has passed: until the next look nobody else can have put something else
// there. A service user's directory can be at the end only.
//
// Where others have names of their own it is not as good: if root took away a
// directory in /tmp just then, somebody could put a link there. That is
// errShared.
func checkAbove(clean string) (st unix.Stat_t, err error) {
	if clean == "/" {
		return st, nil
	}
	var above unix.Stat_t
	for end := 0; end >= 0; end = nextSlash(clean, end) {
		path := clean[:max(end, 1)]
		if st, err = lookAtDir(path); err != nil {
			return st, err
		}
		if end > 0 {
			err = checkDir(st, above, path)
		}
		if err == nil && st.Mode&0o022 != 0 {
			err = errShared
		}
		if err != nil {
			return st, err
		}
		above = st
	}
	return st, nil
}

// nextSlash returns where the next slash after the one at end is, or -1.
func nextSlash(path string, end int) int {
	next := strings.IndexByte(path[end+1:], '/')
	if next < 0 {
		return -1
	}
	return end + 1 + next
}

func lookAtDir(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err != nil {
		return st, openError(path, err)
	}
	return st, nil
}

// openDirAt opens and checks the directory name, below the directory at.
func openDirAt(at int, name, path string, above unix.Stat_t, check dirCheck) (*File, error) {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	dir := &File{fd: fd, path: path}
	err = dir.look()
	// Nobody can put another root directory in the place of this one.
	if err == nil && path != "/" {
		err = check(dir.seen, above, path)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return dir, nil
}

// look takes the file's state.
func (f *File) look() error { return f.failed("stat", unix.Fstat(f.fd, &f.seen)) }

// openError names a link as what it is: with O_DIRECTORY the kernel calls it
// ENOTDIR, without it ELOOP.
func openError(path string, err error) error {
	var st unix.Stat_t
	if (err == unix.ELOOP || err == unix.ENOTDIR) && unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return fmt.Errorf("%s: %w: it is a symbolic link, which is never followed; name the real path, or where a program makes a farm of links (Kubernetes secrets) copy what they lead to before the start", path, ErrUnsafe)
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

// checkDir refuses a directory in which another user could replace a name. A
// sticky one, such as /tmp, protects the names that others made in it.
func checkDir(st, _ unix.Stat_t, path string) error {
	if err := checkOwner(path, st.Uid); err != nil {
		return err
	}
	return checkWriters(st, path)
}

func checkWriters(st unix.Stat_t, path string) error {
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
func OpenIn(dir *File, name string, flags int, rules Rules) (*File, error) {
	path := dir.in(name)
	if !isFileName(name) {
		return nil, fmt.Errorf("open %s: %w: %q is no file name", dir.Name(), ErrUnsafe, name)
	}
	for range maxOpens {
		fd, err := unix.Openat(dir.fd, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EACCES) && unix.Geteuid() != 0 {
			return nil, fmt.Errorf("%w; expected it to be owned by uid %d as its directory is; run chown", openError(path, err), dir.seen.Uid)
		}
		if err != nil {
			return nil, openError(path, err)
		}
		file := &File{fd: fd, path: path}
		replaced, err := checkFile(file, dir.seen.Uid, rules)
		if err == nil && !replaced {
			return file, nil
		}
		unix.Close(fd)
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("open %s: it is being replaced all the time", path)
}

func isFileName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsRune(name, '/')
}

// maxOpens bounds how often a file that was replaced between its opening and
// its check is opened again.
const maxOpens = 100

// checkFile says whether the open file has no name any more, because another
// took its place.
func checkFile(file *File, dirOwner uint32, rules Rules) (replaced bool, err error) {
	if err := file.look(); err != nil {
		return false, err
	}
	if file.seen.Nlink == 0 {
		return true, nil
	}
	return false, checkStat(file.seen, file.path, dirOwner, rules)
}

func checkStat(st unix.Stat_t, path string, dirOwner uint32, rules Rules) error {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s: %w: it is %s, expected a regular file", path, ErrUnsafe, kindName(st.Mode))
	}
	if err := checkOwnerIn(path, st.Uid, dirOwner); err != nil {
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
