package sftp

import (
	"encoding/binary"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// defaultHandles bounds the handles of a session that says nothing else.
const defaultHandles = 1000

// handle is an open file, or a directory where dir is not nil.
type handle struct {
	generation uint32 // of its slot, so that a closed handle is not another file
	used       bool
	file       File
	path       string
	appends    bool
	read       uint64
	written    uint64
	failed     error
	dir        *directory
}

// handles are those of one session. A peer sees a slot and its generation.
type handles struct {
	limit int
	slots []handle
	free  []uint32
	open  int
	files int
}

// admit says whether another file or directory may be opened.
func (s *session) admit(dir bool) bool {
	return s.handles.open < s.handles.limit && (s.options.Opening == nil || s.options.Opening(dir))
}

// closed says that one which was admitted is closed, or was not opened.
func (s *session) closed(dir bool) {
	if s.options.Closed != nil {
		s.options.Closed(dir)
	}
}

// add keeps h and returns what the peer calls it.
func (hs *handles) add(h handle) string {
	var slot uint32
	if n := len(hs.free); n > 0 {
		slot = hs.free[n-1]
		hs.free = hs.free[:n-1]
		h.generation = hs.slots[slot].generation + 1
	} else {
		slot = uint32(len(hs.slots))
		hs.slots = append(hs.slots, handle{})
	}
	h.used = true
	hs.slots[slot] = h
	hs.open++
	if h.dir == nil {
		hs.files++
	}
	var name [8]byte
	binary.BigEndian.PutUint32(name[:4], slot)
	binary.BigEndian.PutUint32(name[4:], h.generation)
	return string(name[:])
}

// get is the handle of a name, or nil. It is valid until the next add.
func (hs *handles) get(name []byte) *handle {
	if len(name) != 8 {
		return nil
	}
	slot := binary.BigEndian.Uint32(name)
	if uint64(slot) >= uint64(len(hs.slots)) {
		return nil
	}
	h := &hs.slots[slot]
	if !h.used || h.generation != binary.BigEndian.Uint32(name[4:]) {
		return nil
	}
	return h
}

// drop forgets what get gave for name.
func (hs *handles) drop(name []byte, h *handle) {
	hs.free = append(hs.free, binary.BigEndian.Uint32(name))
	hs.open--
	if h.dir == nil {
		hs.files--
	}
	*h = handle{generation: h.generation}
}

// closeHandle closes what h stands for and tells the audit of a transfer.
func (s *session) closeHandle(h *handle) error {
	defer s.closed(h.dir != nil)
	if h.dir != nil {
		h.dir.close()
		return nil
	}
	err := h.file.Close()
	if err != nil && h.failed == nil {
		h.failed = err
	}
	s.audit(Event{Op: "transfer", Path: h.path, Read: h.read, Written: h.written, Err: h.failed})
	return err
}

// closeAll closes every handle that the peer left open.
func (s *session) closeAll() {
	for i := range s.handles.slots {
		if h := &s.handles.slots[i]; h.used {
			if h.failed == nil {
				h.failed = ErrUnfinished
			}
			_ = s.closeHandle(h)
			h.used = false
		}
	}
}

// handle takes a handle off a packet and gives nil for one that is not open.
func (s *session) handle(c *sftpwire.Cursor) *handle { return s.handles.get(c.Text()) }

// file takes the handle of an open file. The answer for any other is failure.
func (s *session) file(c *sftpwire.Cursor) *handle {
	h := s.handle(c)
	if c.Err == nil && (h == nil || h.dir != nil) {
		c.Err = sftpwire.StatusFailure
	}
	if c.Err != nil {
		return nil
	}
	return h
}
