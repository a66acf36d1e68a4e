package local

import (
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
)

// SetStat changes what a path leads to, or the link itself.
func (f *Files) SetStat(path string, change sftp.Change, follow bool) error {
	if f.options.ReadOnly {
		return unix.EACCES
	}
	if change.HasSize && !follow {
		return unix.EINVAL
	}
	if !change.HasSize && !change.HasMode && !change.HasTimes && !change.HasOwner {
		return nil
	}
	at, err := f.resolve(path, follow)
	if err != nil {
		return err
	}
	defer at.release()
	var failed error
	if change.HasSize {
		keep(&failed, truncate(at, change.Size))
	}
	if change.HasMode {
		keep(&failed, f.chmod(at, change.Mode&0o7777, follow))
	}
	if change.HasTimes {
		keep(&failed, unix.UtimesNanoAt(at.dir, at.path, times(change), nofollow(follow)))
	}
	if change.HasOwner {
		keep(&failed, unix.Fchownat(at.dir, at.path, int(change.UID), int(change.GID), nofollow(follow)))
	}
	return failed
}

// FSetStat changes an open file of this process.
func (f *Files) FSetStat(file sftp.File, change sftp.Change) error {
	descriptor, ours := file.(sftp.Descriptor)
	if f.options.ReadOnly || !ours {
		return unix.EACCES
	}
	fd := int(descriptor)
	var failed error
	if change.HasMode {
		keep(&failed, unix.Fchmod(fd, change.Mode&0o7777))
	}
	if change.HasTimes {
		keep(&failed, futimens(fd, times(change)))
	}
	if change.HasOwner {
		keep(&failed, unix.Fchown(fd, int(change.UID), int(change.GID)))
	}
	return failed
}

// keep makes err the last error unless it is none.
func keep(failed *error, err error) {
	if err != nil {
		*failed = err
	}
}

func times(change sftp.Change) []unix.Timespec {
	return []unix.Timespec{{Sec: int64(change.Atime)}, {Sec: int64(change.Mtime)}}
}

// futimens is what the library has no call for that works without /proc.
func futimens(fd int, times []unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times[0])), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func truncate(at location, size uint64) error {
	if int64(size) < 0 {
		return unix.EINVAL
	}
	fd, err := openat(at, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Ftruncate(fd, int64(size))
	_ = unix.Close(fd)
	return err
}

// chmod of what is no link works by the path too, where the kernel has no
// fchmodat2 (before 6.6): through the magic link of what is held open.
func (f *Files) chmod(at location, mode uint32, follow bool) error {
	if follow {
		return unix.Fchmodat(at.dir, at.path, mode, 0)
	}
	fd, err := openat(at, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK || f.proc < 0 {
		return unix.EOPNOTSUPP
	}
	return unix.Fchmodat(f.proc, strconv.Itoa(fd), mode, 0)
}
