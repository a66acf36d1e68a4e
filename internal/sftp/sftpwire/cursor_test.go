package sftpwire

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzChange takes attributes off any bytes. What was taken, written again and
// taken again is the same.
func FuzzChange(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add(append([]byte{0, 0, 0, 15}, make([]byte, 28)...))
	f.Add([]byte{0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'a', 0, 0, 0, 1, 'b', 'r'})
	f.Add([]byte{0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Cursor{Rest: b}
		change := c.Change()
		if c.Err != nil {
			if c.Err != StatusBadMessage {
				t.Errorf("error %v", c.Err)
			}
			return
		}
		if !bytes.HasSuffix(b, c.Rest) {
			t.Errorf("%x is left of %x", c.Rest, b)
		}
		again := Cursor{Rest: appendChange(change)}
		if got := again.Change(); got != change || again.Err != nil || len(again.Rest) != 0 {
			t.Errorf("%+v became %+v, %v", change, got, again.Err)
		}
	})
}

// appendChange is what a client would send.
func appendChange(change Change) []byte {
	b := []byte{0, 0, 0, 0}
	flags := uint32(0)
	if change.HasSize {
		flags |= attrSize
		b = binary.BigEndian.AppendUint64(b, change.Size)
	}
	if change.HasOwner {
		flags |= attrOwner
		b = binary.BigEndian.AppendUint32(b, change.UID)
		b = binary.BigEndian.AppendUint32(b, change.GID)
	}
	if change.HasMode {
		flags |= attrMode
		b = binary.BigEndian.AppendUint32(b, change.Mode)
	}
	if change.HasTimes {
		flags |= attrTimes
		b = binary.BigEndian.AppendUint32(b, change.Atime)
		b = binary.BigEndian.AppendUint32(b, change.Mtime)
	}
	binary.BigEndian.PutUint32(b, flags)
	return b
}
