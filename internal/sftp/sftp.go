// Package sftp is the server side of SFTP version 3
// (draft-ietf-secsh-filexfer-02) with the extensions of OpenSSH's sftp-server,
// whose answers it gives wherever two answers would be possible. It is the
// protocol alone: the server with its processes and logins is internal/sftpd.
//
// The entry point is [Serve]. It answers requests one after the other, in the
// order they came, so that two of them on one file never race; what makes it
// fast is that replies are gathered and file data is read into them. All that
// takes a path is done by [Files], which has the user's rights; the engine
// itself needs none.
//
// The package promises that it never allocates for a length that it was only
// told, that a session holds no more than its buffers and its bounded handles,
// that a waiting session holds no large buffer, and that every descriptor is
// closed when Serve returns.
package sftp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/otpgate/otpgate/internal/sftp/longname"
	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// ErrProtocol is wrapped by errors about a peer that does not speak SFTP. What
// is wrong inside a packet is answered instead.
var ErrProtocol = errors.New("sftp protocol")

const (
	// maxPacket bounds the length field of a packet, as in OpenSSH.
	maxPacket = 256 << 10
	// maxData bounds the file data in a packet; limits@openssh.com tells it.
	maxData = maxPacket - 1024
	// bigBuffer takes any packet and the beginning of the next.
	bigBuffer = maxPacket + 64<<10
	// smallBuffer is what a session waits with. Requests to read fit in by the
	// dozen.
	smallBuffer = 2 << 10
)

// buffers lends large buffers to sessions that are at work.
var buffers = sync.Pool{New: func() any { return new([bigBuffer]byte) }}

type session struct {
	ctx     context.Context
	channel io.ReadWriter
	files   Files
	options Options
	handles handles
	names   longname.Names
	started bool // INIT was answered
	fields  sftpwire.Cursor

	small  [smallBuffer]byte
	in     []byte // small, or lent whole
	inLent *[bigBuffer]byte
	start  int // in[start:end] came and was not looked at
	end    int

	out     []byte // replies that were not sent
	outLent *[bigBuffer]byte
	unsent  error // why they cannot be sent any more
}

// Serve answers the requests on channel until it ends, ctx does, files gives
// an error that is no syscall.Errno, or the peer breaks the framing. A channel
// that ended between packets is no error. The caller closes channel, also to
// end Serve early.
func Serve(ctx context.Context, channel io.ReadWriter, files Files, options Options) error {
	s := &session{ctx: ctx, channel: channel, files: files, options: options}
	s.in = s.small[:]
	s.handles.limit = options.Handles
	if s.handles.limit <= 0 {
		s.handles.limit = defaultHandles
	}
	defer s.close()
	for {
		request, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.dispatch(request)
		}
		if err != nil {
			_ = s.flush()
			return err
		}
	}
}

// close gives back what the session holds.
func (s *session) close() {
	s.closeAll()
	s.releaseIn()
	s.releaseOut()
}

// next is the next whole packet without its length. It is valid until the
// next call. Replies are sent before it waits.
func (s *session) next() ([]byte, error) {
	for {
		if s.end-s.start >= 4 {
			length := int(binary.BigEndian.Uint32(s.in[s.start:]))
			if length < 5 || length > maxPacket {
				return nil, fmt.Errorf("%w: a packet of %d bytes, expected 5 to %d", ErrProtocol, length, maxPacket)
			}
			if s.end-s.start >= 4+length {
				found := s.in[s.start+4 : s.start+4+length]
				s.start += 4 + length
				return found, nil
			}
			s.makeRoom(4 + length)
		}
		if err := s.flush(); err != nil {
			return nil, err
		}
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
}

// makeRoom sees to it that a packet of size bytes fits in behind s.start.
func (s *session) makeRoom(size int) {
	if size <= len(s.in)-s.start {
		return
	}
	if size > len(s.in) {
		lent := buffers.Get().(*[bigBuffer]byte)
		s.end = copy(lent[:], s.in[s.start:s.end])
		s.start, s.in, s.inLent = 0, lent[:], lent
		return
	}
	s.end = copy(s.in, s.in[s.start:s.end])
	s.start = 0
}

// fill waits for bytes.
func (s *session) fill() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	idle := s.start == s.end
	if idle {
		s.releaseIn()
		s.releaseOut()
	}
	if s.end == len(s.in) {
		s.makeRoom(len(s.in) - s.start + 1)
	}
	if idle && s.options.Busy != nil {
		s.options.Busy(false, s.handles.files)
	}
	n, err := s.channel.Read(s.in[s.end:])
	s.end += n
	switch {
	case n > 0:
		if idle && s.options.Busy != nil {
			s.options.Busy(true, s.handles.files)
		}
		return nil
	case err == io.EOF && idle:
		return io.EOF
	case err == io.EOF:
		return fmt.Errorf("read packet: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return fmt.Errorf("read packet: %w", err)
	}
	return nil
}
