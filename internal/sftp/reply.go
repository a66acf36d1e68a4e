package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// errReplied is what a request returns that has answered itself.
var errReplied = errors.New("replied")

// smallReply is more than any reply takes that holds no path, data or names.
const smallReply = 512

// reserve sees to it that n more bytes of reply fit in, n at most bigBuffer. An
// error of sending stays and is seen before the next packet is waited for.
func (s *session) reserve(n int) {
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
	s.reserve(size)
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
func (s *session) putString(str string) { s.out = sftpwire.AppendString(s.out, str) }

// putStatus answers with err, nil being success.
func (s *session) putStatus(id uint32, err error) {
	code, text := sftpwire.StatusOf(err)
	at := s.begin(sftpwire.TypeStatus, id, smallReply)
	s.putUint32(uint32(code))
	s.putString(text)
	s.putString("")
	_ = s.finish(at)
}

// putName answers with one path, as REALPATH and READLINK do.
func (s *session) putName(id uint32, path string) error {
	at := s.begin(sftpwire.TypeName, id, smallReply+2*len(path))
	s.putUint32(1)
	s.putString(path)
	s.putString(path)
	s.putUint32(0)
	return s.finish(at)
}

func (s *session) putAttrs(id uint32, attr Attr) error {
	at := s.begin(sftpwire.TypeAttrs, id, smallReply)
	s.out = sftpwire.AppendAttr(s.out, attr)
	return s.finish(at)
}
