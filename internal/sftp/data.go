package sftp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

func (s *session) open(id uint32, c *sftpwire.Cursor) error {
	path, flags, change := c.Path(), sftpwire.OpenFlags(c.Uint32()), c.Change()
	if c.Err != nil {
		return c.Err
	}
	mode := uint32(0o666)
	if change.HasMode {
		mode = change.Mode & 0o7777
	}
	if !s.admit(false) {
		return s.audited("open", path, "", unix.EMFILE)
	}
	file, real, err := s.files.Open(path, flags, mode)
	if err != nil {
		s.closed(false)
		return s.audited("open", path, "", err)
	}
	return s.putHandle(id, handle{file: file, path: real, appends: flags&unix.O_APPEND != 0})
}

func (s *session) putHandle(id uint32, h handle) error {
	at := s.begin(sftpwire.TypeHandle, id, smallReply)
	s.putString(s.handles.add(h))
	return s.finish(at)
}

func (s *session) closeRequest(_ uint32, c *sftpwire.Cursor) error {
	name := c.Text()
	if c.Err != nil {
		return c.Err
	}
	h := s.handles.get(name)
	if h == nil {
		return unix.ENOENT
	}
	err := s.closeHandle(h)
	s.handles.drop(name, h)
	return err
}

// allow waits until n bytes of file data may pass. What is answered already is
// sent before.
func (s *session) allow(n int, upload bool) error {
	if s.options.Limit == nil || n == 0 {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.options.Limit(s.ctx, n, upload)
}

// read puts the data straight behind a header in the replies.
func (s *session) read(id uint32, c *sftpwire.Cursor) error {
	h, offset, length := s.file(c), c.Uint64(), c.Uint32()
	if c.Err != nil {
		return c.Err
	}
	const header = 13
	n := int(min(length, maxData))
	s.reserve(header + n)
	at := len(s.out)
	n, err := h.file.Pread(s.out[at+header:at+header+n], int64(offset))
	switch {
	case err != nil:
		h.failed = err
		return err
	case n == 0 && length > 0:
		return sftpwire.StatusEOF
	}
	reply := s.out[at : at+header+n]
	binary.BigEndian.PutUint32(reply, uint32(header-4+n))
	reply[4] = sftpwire.TypeData
	binary.BigEndian.PutUint32(reply[5:], id)
	binary.BigEndian.PutUint32(reply[9:], uint32(n))
	if s.options.Limit == nil {
		s.out = s.out[:at+header+n]
	} else {
		if err := s.allow(n, false); err != nil {
			return err
		}
		// What was held before the reply is sent, and its place is free.
		s.out = s.out[:copy(s.out[:header+n], reply)]
	}
	h.read += uint64(n)
	return errReplied
}

func (s *session) write(_ uint32, c *sftpwire.Cursor) error {
	h, offset, data := s.file(c), c.Uint64(), c.Text()
	if c.Err != nil {
		return c.Err
	}
	if err := s.allow(len(data), true); err != nil {
		return err
	}
	n, err := h.file.Pwrite(data, int64(h.place(offset)))
	h.written += uint64(n)
	if err != nil {
		h.failed = err
	}
	return err
}

// place is where to write: as asked for, or for a file that is only added to
// anywhere, so that the kernel does not look at what it will not use.
func (h *handle) place(offset uint64) uint64 {
	if h.appends {
		return 0
	}
	return offset
}

func (s *session) fstat(id uint32, c *sftpwire.Cursor) error {
	h := s.file(c)
	if c.Err != nil {
		return c.Err
	}
	attr, _, err := h.file.Stat()
	if err != nil {
		return err
	}
	return s.putAttrs(id, attr)
}

// fsetstat truncates by itself, because that looks at how the file was opened.
func (s *session) fsetstat(_ uint32, c *sftpwire.Cursor) error {
	h, change := s.file(c), c.Change()
	if c.Err != nil {
		return c.Err
	}
	var failed error
	if change.HasSize {
		failed = h.file.Truncate(change.Size)
	}
	if change.HasMode || change.HasTimes || change.HasOwner {
		change.HasSize, change.Size = false, 0
		if err := s.files.FSetStat(h.file, change); err != nil {
			failed = err
		}
	}
	return s.audited("setstat", h.path, "", failed)
}
