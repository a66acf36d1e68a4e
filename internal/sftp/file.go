package sftp

import "golang.org/x/sys/unix"

// File is an open file, in this process or in another one. It is used by one
// goroutine. Errors are as those of Files.
type File interface {
	// Pread is pread(2): it reads fewer bytes than b has at the end alone, or
	// where the file system gives no more at once.
	Pread(b []byte, offset int64) (int, error)
	// Pwrite writes all of b, and says how much it did.
	Pwrite(b []byte, offset int64) (int, error)
	Stat() (Attr, FileID, error)
	StatVFS() (StatVFS, error)
	Truncate(size uint64) error
	Sync() error
	Close() error
}

// FileID tells whether two names are of one file.
type FileID struct{ Dev, Ino uint64 }

// Descriptor is a File of this process.
type Descriptor int

var _ File = Descriptor(0)

// Pread is pread(2), again after a signal.
func (fd Descriptor) Pread(b []byte, offset int64) (int, error) {
	for {
		n, err := unix.Pread(int(fd), b, offset)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// Pwrite implements File.
func (fd Descriptor) Pwrite(b []byte, offset int64) (written int, err error) {
	for {
		n, err := unix.Pwrite(int(fd), b[written:], offset+int64(written))
		written += max(n, 0)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return written, err
		case written == len(b):
			return written, nil
		case n == 0:
			return written, unix.EIO
		}
	}
}

// Stat is fstat(2).
func (fd Descriptor) Stat() (Attr, FileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return Attr{}, FileID{}, err
	}
	return AttrOf(&st), FileID{st.Dev, st.Ino}, nil
}

// StatVFS is fstatvfs(3).
func (fd Descriptor) StatVFS() (StatVFS, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(fd), &st); err != nil {
		return StatVFS{}, err
	}
	return StatVFSOf(&st), nil
}

// Truncate is ftruncate(2).
func (fd Descriptor) Truncate(size uint64) error { return unix.Ftruncate(int(fd), int64(size)) }

// Sync is fsync(2).
func (fd Descriptor) Sync() error { return unix.Fsync(int(fd)) }

// Close is close(2).
func (fd Descriptor) Close() error { return unix.Close(int(fd)) }
