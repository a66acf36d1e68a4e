package safefile

import (
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// File is an open file or directory that has passed the checks. Unlike an
// [os.File] it never asks the kernel what it is or whether it can be waited
// for, which made a fifth of a login's system calls. For that it must be closed
// by hand, once, and used by one goroutine at a time.
type File struct {
	fd   int
	path string
	seen unix.Stat_t
}

// Name returns the path that the file was opened by.
func (f *File) Name() string { return f.path }

// Fd returns the descriptor, which is gone once the file is closed.
func (f *File) Fd() int { return f.fd }

// Seen returns the file's state as it was checked when it was opened.
func (f *File) Seen() unix.Stat_t { return f.seen }

// Close closes the file. It is an error to close one twice: by then the
// descriptor may be somebody else's. A nil File has nothing to close.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	fd := f.fd
	f.fd = -1
	if fd < 0 {
		return f.failed("close", os.ErrClosed)
	}
	return f.failed("close", unix.Close(fd))
}

// in returns the path of a name in the directory.
func (f *File) in(name string) string {
	if f.path == "/" {
		return "/" + name
	}
	return f.path + "/" + name
}

func (f *File) failed(operation string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: operation, Path: f.path, Err: err}
}

// ReadAt implements [io.ReaderAt].
func (f *File) ReadAt(data []byte, offset int64) (int, error) {
	return f.all(data, "read", io.EOF, func(rest []byte, done int) (int, error) {
		return unix.Pread(f.fd, rest, offset+int64(done))
	})
}

// WriteAt implements [io.WriterAt].
func (f *File) WriteAt(data []byte, offset int64) (int, error) {
	return f.all(data, "write", io.ErrShortWrite, func(rest []byte, done int) (int, error) {
		return unix.Pwrite(f.fd, rest, offset+int64(done))
	})
}

// all repeats a call until data is through. none is for a call that moves nothing.
func (f *File) all(data []byte, operation string, none error, call func(rest []byte, done int) (int, error)) (int, error) {
	done := 0
	for done < len(data) {
		n, err := call(data[done:], done)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, f.failed(operation, err)
		case n == 0:
			return done, none
		default:
			done += n
		}
	}
	return done, nil
}

// Truncate sets the size.
func (f *File) Truncate(size int64) error {
	return f.failed("truncate", again(func() error { return unix.Ftruncate(f.fd, size) }))
}

// Chmod sets the permission bits.
func (f *File) Chmod(mode fs.FileMode) error {
	return f.failed("chmod", again(func() error { return unix.Fchmod(f.fd, uint32(mode.Perm())) }))
}

// Sync returns once the file is on disk.
func (f *File) Sync() error {
	return f.failed("sync", again(func() error { return unix.Fsync(f.fd) }))
}

// again repeats a call that a signal interrupts: the Go runtime sends its own.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
