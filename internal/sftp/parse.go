package sftp

import (
	"bytes"
	"encoding/binary"
	"syscall"
)

// cursor takes the fields off a packet. The first thing that is wrong stays in
// err, and what is taken then is zero.
type cursor struct {
	rest []byte
	err  error
}

// bytes takes n bytes, which stay in the packet.
func (c *cursor) bytes(n int) []byte {
	if c.err == nil && n > len(c.rest) {
		c.err = statusBadMessage
	}
	if c.err != nil {
		return nil
	}
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) uint32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// string takes a length and so many bytes.
func (c *cursor) string() []byte {
	n := c.uint32()
	if c.err == nil && uint64(n) > uint64(len(c.rest)) {
		c.err = statusBadMessage
	}
	return c.bytes(int(n))
}

// uint32s takes a string that is numbers.
func (c *cursor) uint32s() []uint32 {
	b := c.string()
	if c.err == nil && len(b)%4 != 0 {
		c.err = statusBadMessage
	}
	if c.err != nil {
		return nil
	}
	numbers := make([]uint32, len(b)/4)
	for i := range numbers {
		numbers[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return numbers
}

// path takes a path that a system call can be given.
func (c *cursor) path() string {
	path := c.string()
	switch {
	case c.err != nil:
	case len(path) > maxPath:
		c.err = syscall.ENAMETOOLONG
	case bytes.IndexByte(path, 0) >= 0:
		c.err = statusBadMessage
	}
	if c.err != nil {
		return ""
	}
	return string(path)
}

// The flags that say which attributes follow.
const (
	attrSize     = 0x00000001
	attrOwner    = 0x00000002
	attrMode     = 0x00000004
	attrTimes    = 0x00000008
	attrExtended = 0x80000000
)

// change takes attributes. Extended ones are skipped.
func (c *cursor) change() Change {
	flags := c.uint32()
	change := Change{
		HasSize: flags&attrSize != 0, HasOwner: flags&attrOwner != 0,
		HasMode: flags&attrMode != 0, HasTimes: flags&attrTimes != 0,
	}
	if change.HasSize {
		change.Size = c.uint64()
	}
	if change.HasOwner {
		change.UID, change.GID = c.uint32(), c.uint32()
	}
	if change.HasMode {
		change.Mode = c.uint32()
	}
	if change.HasTimes {
		change.Atime, change.Mtime = c.uint32(), c.uint32()
	}
	if flags&attrExtended != 0 {
		for n := c.uint32(); n > 0 && c.err == nil; n-- {
			c.string()
			c.string()
		}
	}
	return change
}

// appendAttr appends attributes as a reply holds them.
func appendAttr(b []byte, attr Attr) []byte {
	b = binary.BigEndian.AppendUint32(b, attrSize|attrOwner|attrMode|attrTimes)
	b = binary.BigEndian.AppendUint64(b, attr.Size)
	b = binary.BigEndian.AppendUint32(b, attr.UID)
	b = binary.BigEndian.AppendUint32(b, attr.GID)
	b = binary.BigEndian.AppendUint32(b, attr.Mode)
	b = binary.BigEndian.AppendUint32(b, uint32(attr.Atime))
	return binary.BigEndian.AppendUint32(b, uint32(attr.Mtime))
}
