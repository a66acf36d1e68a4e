package sftp_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// replyBody is what is left to read of a packet's fields.
type replyBody []byte

func (r *replyBody) u32() uint32 {
	n := binary.BigEndian.Uint32(*r)
	*r = (*r)[4:]
	return n
}

func (r *replyBody) u64() uint64 {
	n := binary.BigEndian.Uint64(*r)
	*r = (*r)[8:]
	return n
}

func (r *replyBody) str() string {
	n := r.u32()
	text := string((*r)[:n])
	*r = (*r)[n:]
	return text
}

// attrs are attributes as text.
func (r *replyBody) attrs() string {
	flags := r.u32()
	if flags == 0 {
		return "none"
	}
	if flags != 15 {
		return fmt.Sprintf("flags %x", flags)
	}
	size, uid, gid, mode := r.u64(), r.u32(), r.u32(), r.u32()
	_, mtime := r.u32(), r.u32()
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		size = 0
	}
	return fmt.Sprintf("size %d uid %d gid %d mode %o mtime %d", size, uid, gid, mode, day(int64(mtime)))
}

// names are names as text, in an order of their own.
func (r *replyBody) names(listed bool) string {
	var names []string
	for n := r.u32(); n > 0; n-- {
		name, long := r.str(), r.str()
		// A directory's size is its file system's, and its time, which is that of
		// this test, may be of another minute. Nothing else in a list has such a one.
		if listed && long[0] == 'd' {
			long = strings.Join(strings.Fields(long)[:4], " ")
		}
		names = append(names, fmt.Sprintf("%q %q %s", name, long, r.attrs()))
	}
	slices.Sort(names)
	return "names\n  " + strings.Join(names, "\n  ")
}

// statVFS is what is told of a file system, without what is free there.
func (r *replyBody) statVFS() string {
	bsize, frsize, blocks := r.u64(), r.u64(), r.u64()
	_, _, files := r.u64(), r.u64(), r.u64()
	_, _ = r.u64(), r.u64()
	return fmt.Sprintf("statvfs %d %d %d %d fsid %x flag %d namemax %d", bsize, frsize, blocks, files, r.u64(), r.u64(), r.u64())
}

// describe is a reply as text in which two servers are to agree.
func describe(t *testing.T, request packet, kind byte, body []byte) string {
	t.Helper()
	r := replyBody(body)
	switch kind {
	case fxStatus:
		code, text := r.u32(), r.str()
		// Why something failed is told, but not that it is there: see sftpwire.StatusOf.
		if code == 4 && text != "File exists" {
			text = "Failure"
		}
		return fmt.Sprintf("status %d %s", code, text)
	case fxHandle:
		return "handle"
	case fxData:
		return fmt.Sprintf("data %q", r.str())
	case fxAttrs:
		return "attrs " + r.attrs()
	case fxName:
		return r.names(request.kind == fxReaddir)
	case fxExtendedReply:
		if strings.Contains(request.fields[0].(string), "statvfs") {
			return r.statVFS()
		}
		return fmt.Sprintf("extended %x", []byte(r))
	}
	return fmt.Sprintf("type %d %x", kind, []byte(r))
}
