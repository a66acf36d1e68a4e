// Package local is sftp.Files by system calls of this process. It is what
// runs with the user's uid, gid and groups, in the directory that relative
// paths start at, under the wanted umask, and behind chroot(2) where there is
// a root; all of that is the caller's to set up before.
//
// The entry point is [New]. The package promises that no call waits for the
// other end of a FIFO, that nothing is changed where ReadOnly is set, and that
// Deny is matched against what the kernel says was reached: each call works on
// the descriptor whose path was matched, so that a link swapped meanwhile
// changes nothing.
package local

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/deny"
)

// Options are what a user's files may differ in.
type Options struct {
	ReadOnly bool
	Deny     deny.Patterns
	// HomeOf is the home directory of a user, or of this one for "".
	HomeOf func(user string) (string, error)
	// User and Group are the names of ids, "" for those without.
	User, Group func(id uint32) string
}

// Files are the files of this process.
type Files struct {
	options Options
	proc    int // /proc/self/fd, or -1
}

var _ sftp.Files = (*Files)(nil)

// New opens /proc/self/fd, which must be reachable where something is denied:
// call it before chroot. Close gives that back.
func New(options Options) (*Files, error) {
	proc, err := unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		if !options.Deny.Empty() {
			return nil, fmt.Errorf("open /proc/self/fd, which denied paths need: %w", err)
		}
		proc = -1
	}
	return &Files{options: options, proc: proc}, nil
}

// Close closes what New opened.
func (f *Files) Close() error {
	if f.proc < 0 {
		return nil
	}
	return unix.Close(f.proc)
}

// Open never waits: O_NONBLOCK makes that so for FIFOs and devices. A regular
// file that somebody has a lease on is opened again without.
func (f *Files) Open(path string, flags int, mode uint32) (sftp.File, string, error) {
	const known = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC | unix.O_APPEND
	flags &= known
	if f.options.ReadOnly && flags != unix.O_RDONLY {
		return nil, "", unix.EACCES
	}
	at, flags, err := f.resolveOpen(path, flags)
	if err != nil {
		return nil, "", err
	}
	defer at.release()
	const always = unix.O_CLOEXEC | unix.O_NOCTTY
	fd, err := openat(at, flags|always|unix.O_NONBLOCK, mode)
	if err == unix.EAGAIN {
		var st unix.Stat_t
		if err := unix.Fstatat(at.dir, at.path, &st, 0); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			return nil, "", unix.EAGAIN
		}
		fd, err = openat(at, flags|always, mode)
	}
	if err != nil {
		return nil, "", err
	}
	real, err := f.realOf(fd)
	if err != nil {
		real = path
	}
	return sftp.Descriptor(fd), real, nil
}

func openat(at location, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at.dir, at.path, flags|unix.O_LARGEFILE, mode&0o7777)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Stat is stat(2) or lstat(2).
func (f *Files) Stat(path string, follow bool) (sftp.Attr, error) {
	at, err := f.resolve(path, follow)
	if err != nil {
		return sftp.Attr{}, err
	}
	defer at.release()
	var st unix.Stat_t
	if err := unix.Fstatat(at.dir, at.path, &st, nofollow(follow)); err != nil {
		return sftp.Attr{}, err
	}
	return sftp.AttrOf(&st), nil
}

func nofollow(follow bool) int {
	if follow {
		return 0
	}
	return unix.AT_SYMLINK_NOFOLLOW
}

// change resolves a path whose name is to be changed and not what it links to,
// and calls do with it.
func (f *Files) change(path string, do func(at location) error) error {
	if f.options.ReadOnly {
		return unix.EACCES
	}
	at, err := f.resolveName(path)
	if err != nil {
		return err
	}
	defer at.release()
	return do(at)
}

// Mkdir is mkdir(2).
func (f *Files) Mkdir(path string, mode uint32) error {
	return f.change(path, func(at location) error { return unix.Mkdirat(at.dir, at.path, mode&0o7777) })
}

// Rmdir is rmdir(2).
func (f *Files) Rmdir(path string) error {
	return f.change(path, func(at location) error { return unix.Unlinkat(at.dir, at.path, unix.AT_REMOVEDIR) })
}

// Remove is unlink(2).
func (f *Files) Remove(path string) error {
	return f.change(path, func(at location) error { return unix.Unlinkat(at.dir, at.path, 0) })
}

// Symlink is symlink(2). Where it leads is looked at when it is followed.
func (f *Files) Symlink(target, path string) error {
	return f.change(path, func(at location) error { return unix.Symlinkat(target, at.dir, at.path) })
}

// Link is link(2).
func (f *Files) Link(from, to string) error {
	return f.change(from, func(old location) error {
		return f.change(to, func(at location) error {
			return unix.Linkat(old.dir, old.path, at.dir, at.path, 0)
		})
	})
}

// Rename is rename(2), or the same where nothing is replaced.
func (f *Files) Rename(from, to string, overwrite bool) error {
	return f.change(from, func(old location) error {
		if f.options.Deny.Above(old.real) {
			return unix.EACCES
		}
		return f.change(to, func(at location) error {
			// What is moved may be, or by now have become, a directory that holds
			// what is denied by its path there.
			if f.options.Deny.Above(at.real) {
				return unix.EACCES
			}
			if overwrite {
				return unix.Renameat(old.dir, old.path, at.dir, at.path)
			}
			return renameNew(old, at)
		})
	})
}

// renameNew never replaces anything. A file system that cannot do that in one
// step (NFS, some of FUSE) does it as OpenSSH's server does: a file by a second
// name, anything else by looking before.
func renameNew(old, at location) error {
	err := unix.Renameat2(old.dir, old.path, at.dir, at.path, unix.RENAME_NOREPLACE)
	if err != unix.EINVAL && err != unix.ENOSYS {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(old.dir, old.path, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		err := unix.Linkat(old.dir, old.path, at.dir, at.path, 0)
		if err == nil {
			return unix.Unlinkat(old.dir, old.path, 0)
		}
		if err != unix.EOPNOTSUPP && err != unix.ENOSYS && err != unix.EPERM {
			return err
		}
	}
	if unix.Fstatat(at.dir, at.path, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		return unix.EEXIST
	}
	return unix.Renameat(old.dir, old.path, at.dir, at.path)
}

// Readlink is readlink(2).
func (f *Files) Readlink(path string) (string, error) {
	at, err := f.resolve(path, false)
	if err != nil {
		return "", err
	}
	defer at.release()
	return readlinkat(at.dir, at.path)
}

func readlinkat(dir int, path string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, path, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// StatVFS is statvfs(3).
func (f *Files) StatVFS(path string) (sftp.StatVFS, error) {
	at, err := f.resolve(path, true)
	if err != nil {
		return sftp.StatVFS{}, err
	}
	defer at.release()
	fd, err := openat(at, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return sftp.StatVFS{}, err
	}
	defer unix.Close(fd)
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return sftp.StatVFS{}, err
	}
	return sftp.StatVFSOf(&st), nil
}

// Home asks Options.HomeOf.
func (f *Files) Home(user string) (string, error) {
	if f.options.HomeOf == nil {
		return "", unix.ENOENT
	}
	return f.options.HomeOf(user)
}

// Names asks Options.User and Options.Group.
func (f *Files) Names(uids, gids []uint32) (users, groups []string, err error) {
	return namesOf(uids, f.options.User), namesOf(gids, f.options.Group), nil
}

func namesOf(ids []uint32, name func(uint32) string) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		if name != nil {
			names[i] = name(id)
		}
	}
	return names
}

// realOf is the path of an open descriptor as the kernel knows it.
func (f *Files) realOf(fd int) (string, error) {
	if f.proc < 0 {
		return "", os.ErrNotExist
	}
	return readlinkat(f.proc, strconv.Itoa(fd))
}
