package sftpwire

import (
	"bytes"
	"encoding/binary"
	"syscall"
)

// Cursor takes the fields off a packet. The first thing that is wrong stays in
// Err, and what is taken then is zero.
type Cursor struct {
	Rest []byte
	Err  error
}

// Bytes takes n bytes, which stay in the packet.
func (c *Cursor) Bytes(n int) []byte {
	if c.Err == nil && n > len(c.Rest) {
		c.Err = StatusBadMessage
	}
	if c.Err != nil {
		return nil
	}
	taken := c.Rest[:n]
	c.Rest = c.Rest[n:]
	return taken
}

// Uint32 takes four bytes.
func (c *Cursor) Uint32() uint32 {
	if b := c.Bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 takes eight bytes.
func (c *Cursor) Uint64() uint64 {
	if b := c.Bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Text takes a string: a length and so many bytes.
func (c *Cursor) Text() []byte {
	n := c.Uint32()
	if c.Err == nil && uint64(n) > uint64(len(c.Rest)) {
		c.Err = StatusBadMessage
	}
	return c.Bytes(int(n))
}

// Uint32s takes a string that is numbers.
func (c *Cursor) Uint32s() []uint32 {
	b := c.Text()
	if c.Err == nil && len(b)%4 != 0 {
		c.Err = StatusBadMessage
	}
	if c.Err != nil {
		return nil
	}
	numbers := make([]uint32, len(b)/4)
	for i := range numbers {
		numbers[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return numbers
}

// MaxPath bounds a path as the kernel does (PATH_MAX without the NUL).
const MaxPath = 4095

// Path takes a path that a system call can be given.
func (c *Cursor) Path() string {
	path := c.Text()
	switch {
	case c.Err != nil:
	case len(path) > MaxPath:
		c.Err = syscall.ENAMETOOLONG
	case bytes.IndexByte(path, 0) >= 0:
		c.Err = StatusBadMessage
	}
	if c.Err != nil {
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

// Change takes attributes. Extended ones are skipped.
func (c *Cursor) Change() Change {
	flags := c.Uint32()
	change := Change{
		HasSize: flags&attrSize != 0, HasOwner: flags&attrOwner != 0,
		HasMode: flags&attrMode != 0, HasTimes: flags&attrTimes != 0,
	}
	if change.HasSize {
		change.Size = c.Uint64()
	}
	if change.HasOwner {
		change.UID, change.GID = c.Uint32(), c.Uint32()
	}
	if change.HasMode {
		change.Mode = c.Uint32()
	}
	if change.HasTimes {
		change.Atime, change.Mtime = c.Uint32(), c.Uint32()
	}
	if flags&attrExtended != 0 {
		for n := c.Uint32(); n > 0 && c.Err == nil; n-- {
			c.Text()
			c.Text()
		}
	}
	return change
}
