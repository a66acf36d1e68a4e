package sftp

import (
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// copyChunk bounds one copy_file_range in bytes, so that the end of the
// session is seen in time.
const copyChunk = 64 << 20

// copyData copies between two open files; a length of zero means to the end.
func (s *session) copyData(_ uint32, c *sftpwire.Cursor) error {
	from, fromOffset, length := s.file(c), c.Uint64(), c.Uint64()
	to, toOffset := s.file(c), c.Uint64()
	if c.Err != nil {
		return c.Err
	}
	// A file that grows while it is read has no end. OpenSSH looks at the paths.
	if same, err := sameFile(from.file, to.file); err != nil || same {
		return sftpwire.StatusFailure
	}
	toOffset = to.place(toOffset)
	if int64(fromOffset) < 0 || int64(toOffset) < 0 {
		return unix.EINVAL
	}
	if err := s.flush(); err != nil {
		return err
	}
	err := s.copyRange(from, to, int64(fromOffset), int64(toOffset), length)
	return s.audited("copy", from.path, to.path, err)
}

func sameFile(a, b File) (bool, error) {
	_, first, err := a.Stat()
	if err != nil {
		return false, err
	}
	_, second, err := b.Stat()
	return first == second, err
}

func (s *session) copyRange(from, to *handle, fromOffset, toOffset int64, length uint64) error {
	copySome := s.copyByHand
	source, readable := from.file.(Descriptor)
	target, writable := to.file.(Descriptor)
	if readable && writable && !to.appends {
		copySome = func(_, _ File, fromOffset, toOffset int64, n int) (int, error) {
			return unix.CopyFileRange(int(source), &fromOffset, int(target), &toOffset, n, 0)
		}
	}
	for copied := uint64(0); ; {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		chunk := copyChunk
		if length > 0 {
			chunk = int(min(length-copied, copyChunk))
		}
		release, err := s.copying()
		if err != nil {
			return err
		}
		n, err := copySome(from.file, to.file, fromOffset, toOffset, chunk)
		switch err {
		case unix.EINVAL, unix.EXDEV, unix.ENOSYS, unix.EOPNOTSUPP:
			n, err = s.copyByHand(from.file, to.file, fromOffset, toOffset, chunk)
		}
		release()
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return ended(copied, length)
		}
		fromOffset += int64(n)
		toOffset += int64(n)
		if copied += uint64(n); copied == length {
			return nil
		}
	}
}

// copying waits until a part may be copied.
func (s *session) copying() (release func(), err error) {
	if s.options.Copying == nil {
		return func() {}, nil
	}
	return s.options.Copying(s.ctx)
}

// opensshChunk is what OpenSSH reads at once.
const opensshChunk = 64 << 10

// ended is the answer where a file ended before so much was copied. As in
// OpenSSH it is no error unless a whole chunk more was asked for than the one
// in which the end was seen.
func ended(copied, length uint64) error {
	seen := (copied+opensshChunk-1)/opensshChunk + 1
	if length > seen*opensshChunk {
		return sftpwire.StatusEOF
	}
	return nil
}

// copyByHand copies through the buffer of the replies, which is empty.
func (s *session) copyByHand(from, to File, fromOffset, toOffset int64, n int) (int, error) {
	s.reserve(bigBuffer)
	n, err := from.Pread(s.out[:min(n, maxData)], fromOffset)
	if err != nil || n == 0 {
		return 0, err
	}
	return to.Pwrite(s.out[:n], toOffset)
}
