package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// The types of packets.
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeRead          = 5
	typeWrite         = 6
	typeLstat         = 7
	typeFstat         = 8
	typeSetstat       = 9
	typeFsetstat      = 10
	typeOpendir       = 11
	typeReaddir       = 12
	typeRemove        = 13
	typeMkdir         = 14
	typeRmdir         = 15
	typeRealpath      = 16
	typeStat          = 17
	typeRename        = 18
	typeReadlink      = 19
	typeSymlink       = 20
	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttrs         = 105
	typeExtended      = 200
	typeExtendedReply = 201
)

// status is the code of a STATUS reply, and an error of its own.
type status uint32

const (
	statusOK               status = 0
	statusEOF              status = 1
	statusNoSuchFile       status = 2
	statusPermissionDenied status = 3
	statusFailure          status = 4
	statusBadMessage       status = 5
	statusUnsupported      status = 8
)

// Error is the text that OpenSSH's server sends with the code.
func (code status) Error() string {
	switch code {
	case statusOK:
		return "Success"
	case statusEOF:
		return "End of file"
	case statusNoSuchFile:
		return "No such file"
	case statusPermissionDenied:
		return "Permission denied"
	case statusBadMessage:
		return "Bad message"
	case statusUnsupported:
		return "Operation unsupported"
	}
	return "Failure"
}

// statusOf is the code for an error, as OpenSSH's server chooses it, and the
// text. Where the code says no more than that it failed, the text is the
// system's: a full disk and a used up quota are told.
func statusOf(err error) (status, string) {
	if err == nil {
		return statusOK, statusOK.Error()
	}
	var code status
	if errors.As(err, &code) {
		return code, code.Error()
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return statusFailure, statusFailure.Error()
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EBADF, syscall.ELOOP:
		code = statusNoSuchFile
	case syscall.EPERM, syscall.EACCES, syscall.EFAULT:
		code = statusPermissionDenied
	case syscall.ENAMETOOLONG, syscall.EINVAL:
		code = statusBadMessage
	case syscall.ENOSYS:
		code = statusUnsupported
	default:
		text := errno.Error()
		return statusFailure, strings.ToUpper(text[:1]) + text[1:]
	}
	return code, code.Error()
}

// isAnswer says whether the peer is told err and the session goes on.
func isAnswer(err error) bool {
	var code status
	var errno syscall.Errno
	return err == nil || errors.As(err, &code) || errors.As(err, &errno)
}

// errReplied is what a request returns that has answered itself.
var errReplied = errors.New("replied")

// smallReply is more than any reply takes that holds no path, data or names.
const smallReply = 512

// room sees to it that n more bytes of reply fit in, n at most bigBuffer. An
// error of sending stays and is seen before the next packet is waited for.
func (s *session) room(n int) {
	if s.outLent != nil && len(s.out)+n > bigBuffer {
		s.flush()
	}
	if s.outLent == nil {
		s.outLent = buffers.Get().(*[bigBuffer]byte)
		s.out = s.outLent[:0]
	}
}

// flush sends the replies that are held.
func (s *session) flush() error {
	if len(s.out) > 0 && s.unsent == nil {
		if _, err := s.channel.Write(s.out); err != nil {
			s.unsent = fmt.Errorf("write replies: %w", err)
		}
	}
	s.out = s.out[:0]
	return s.unsent
}

func (s *session) releaseIn() {
	s.start, s.end = 0, 0
	if s.inLent != nil {
		buffers.Put(s.inLent)
		s.in, s.inLent = s.small[:], nil
	}
}

func (s *session) releaseOut() {
	if s.outLent != nil {
		buffers.Put(s.outLent)
		s.out, s.outLent = nil, nil
	}
}

// begin begins a reply of at most size bytes, and finish writes its length.
func (s *session) begin(kind byte, id uint32, size int) (at int) {
	s.room(size)
	at = len(s.out)
	s.out = append(s.out, 0, 0, 0, 0, kind)
	s.putUint32(id)
	return at
}

func (s *session) finish(at int) error {
	binary.BigEndian.PutUint32(s.out[at:], uint32(len(s.out)-at-4))
	return errReplied
}

func (s *session) putUint32(n uint32)   { s.out = binary.BigEndian.AppendUint32(s.out, n) }
func (s *session) putUint64(n uint64)   { s.out = binary.BigEndian.AppendUint64(s.out, n) }
func (s *session) putString(str string) { s.out = appendString(s.out, str) }

func appendString(b []byte, str string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(str)))
	return append(b, str...)
}

// putStatus answers with err, nil being success.
func (s *session) putStatus(id uint32, err error) {
	code, text := statusOf(err)
	at := s.begin(typeStatus, id, smallReply)
	s.putUint32(uint32(code))
	s.putString(text)
	s.putString("")
	_ = s.finish(at)
}

// putName answers with one path, as REALPATH and READLINK do.
func (s *session) putName(id uint32, path string) error {
	at := s.begin(typeName, id, smallReply+2*len(path))
	s.putUint32(1)
	s.putString(path)
	s.putString(path)
	s.putUint32(0)
	return s.finish(at)
}

func (s *session) putAttrs(id uint32, attr Attr) error {
	at := s.begin(typeAttrs, id, smallReply)
	s.out = appendAttr(s.out, attr)
	return s.finish(at)
}
