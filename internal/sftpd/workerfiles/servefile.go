package workerfiles

import (
	"syscall"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// open passes a descriptor, or keeps the file and tells its number, which is
// not 0.
func (s *server) open(path string, flags int, mode uint32) error {
	const allowed = syscall.O_ACCMODE | syscall.O_CREAT | syscall.O_EXCL | syscall.O_TRUNC | syscall.O_APPEND
	if flags&^allowed != 0 {
		return fields.ErrMalformed
	}
	file, real, err := s.files.Open(path, flags, mode)
	if err != nil {
		return err
	}
	descriptor, ours := file.(sftp.Descriptor)
	err = errKeep
	if ours {
		err = checkPassable(int(descriptor))
	}
	if err == errKeep && len(s.kept) >= maxKept {
		err = syscall.EMFILE
	}
	switch err {
	case nil:
		s.send = int(descriptor)
		s.out.Text(real).U32(0)
	case errKeep:
		s.next++
		s.kept[s.next] = file
		s.out.Text(real).U32(s.next)
	default:
		_ = file.Close()
		return err
	}
	return nil
}

// file answers the questions about a kept file.
func (s *server) file(op uint8, q *fields.Reader) error {
	id := q.U32()
	file, found := s.kept[id]
	if !found {
		return fields.ErrMalformed
	}
	switch op {
	case opPread:
		offset, length := q.U64(), q.U32()
		return q.Then(func() error { return s.pread(file, int64(offset), length) })
	case opPwrite:
		offset, data := q.U64(), q.Blob()
		return q.Then(func() error {
			_, err := file.Pwrite(data, int64(offset))
			return err
		})
	case opKeptSetStat:
		change := getChange(q)
		return q.Then(func() error { return s.files.FSetStat(file, change) })
	case opTruncate:
		size := q.U64()
		return q.Then(func() error { return file.Truncate(size) })
	case opSync:
		return q.Then(file.Sync)
	case opCloseFile:
		return q.Then(func() error {
			delete(s.kept, id)
			return file.Close()
		})
	}
	return q.Then(func() error { return s.keptStat(op, file) })
}

func (s *server) keptStat(op uint8, file sftp.File) error {
	if op == opKeptStat {
		attr, id, err := file.Stat()
		putFileStat(&s.out, attr, id)
		return err
	}
	st, err := file.StatVFS()
	putStatVFS(&s.out, st)
	return err
}

// pread reads straight behind the length in the answer.
func (s *server) pread(file sftp.File, offset int64, length uint32) error {
	if length > maxChunk {
		return fields.ErrMalformed
	}
	begin := len(s.out.Bytes)
	const header = 4
	if need := begin + header + int(length); cap(s.out.Bytes) < need {
		s.out.Bytes = append(make([]byte, 0, seqpacket.MaxSize), s.out.Bytes...)
	}
	data := s.out.Bytes[begin+header : begin+header+int(length)]
	n, err := file.Pread(data, offset)
	s.out.U32(uint32(n))
	s.out.Bytes = s.out.Bytes[:begin+header+n]
	return err
}
