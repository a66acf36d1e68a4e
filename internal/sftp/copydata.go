package sftp

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/packet"
)

// copyChunk bounds one copy_file_range in bytes, so that the end of the
// session is seen in time.
const copyChunk = 64 << 20

// copyData copies between two open files; a length of zero means to the end.
func (s *session) copyData(_ uint32, c *packet.Cursor) error {
	from, fromOffset, length := s.file(c), c.Uint64(), c.Uint64()
	to, toOffset := s.file(c), c.Uint64()
	if c.Err != nil {
		return c.Err
	}
	// A file that grows while it is read has no end. OpenSSH looks at the paths.
	if same, err := sameFile(from.fd, to.fd); err != nil || same {
		return packet.StatusFailure
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

func sameFile(a, b int) (bool, error) {
	var of [2]unix.Stat_t
	if err := errors.Join(unix.Fstat(a, &of[0]), unix.Fstat(b, &of[1])); err != nil {
		return false, err
	}
	return of[0].Dev == of[1].Dev && of[0].Ino == of[1].Ino, nil
}

func (s *session) copyRange(from, to *handle, fromOffset, toOffset int64, length uint64) error {
	copySome := copyInKernel
	if to.appends {
		copySome = s.copyByHand
	}
	for copied := uint64(0); ; {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		chunk := copyChunk
		if length > 0 {
			chunk = int(min(length-copied, copyChunk))
		}
		n, err := copySome(from.fd, to.fd, fromOffset, toOffset, chunk)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.EINVAL, unix.EXDEV, unix.ENOSYS, unix.EOPNOTSUPP:
			n, err = s.copyByHand(from.fd, to.fd, fromOffset, toOffset, chunk)
		}
		switch {
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

// opensshChunk is what OpenSSH reads at once.
const opensshChunk = 64 << 10

// ended is the answer where a file ended before so much was copied. As in
// OpenSSH it is no error unless a whole chunk more was asked for than the one
// in which the end was seen.
func ended(copied, length uint64) error {
	seen := (copied+opensshChunk-1)/opensshChunk + 1
	if length > seen*opensshChunk {
		return packet.StatusEOF
	}
	return nil
}

func copyInKernel(from, to int, fromOffset, toOffset int64, n int) (int, error) {
	return unix.CopyFileRange(from, &fromOffset, to, &toOffset, n, 0)
}

// copyByHand copies through the buffer of the replies, which is empty.
func (s *session) copyByHand(from, to int, fromOffset, toOffset int64, n int) (int, error) {
	s.room(bigBuffer)
	n, err := pread(from, s.out[:min(n, maxData)], fromOffset)
	if err != nil || n == 0 {
		return 0, err
	}
	return pwrite(to, s.out[:n], toOffset)
}
