package sftpwire

import "encoding/binary"

// AppendAttr appends attributes as a reply holds them.
func AppendAttr(b []byte, attr Attr) []byte {
	b = binary.BigEndian.AppendUint32(b, attrSize|attrOwner|attrMode|attrTimes)
	b = binary.BigEndian.AppendUint64(b, attr.Size)
	b = binary.BigEndian.AppendUint32(b, attr.UID)
	b = binary.BigEndian.AppendUint32(b, attr.GID)
	b = binary.BigEndian.AppendUint32(b, attr.Mode)
	b = binary.BigEndian.AppendUint32(b, uint32(attr.Atime))
	return binary.BigEndian.AppendUint32(b, uint32(attr.Mtime))
}

// AppendString appends a length and the bytes.
func AppendString(b []byte, str string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(str)))
	return append(b, str...)
}

// AppendStatVFS appends what statvfs@openssh.com is answered with.
func AppendStatVFS(b []byte, st StatVFS) []byte {
	for _, field := range []uint64{
		st.Bsize, st.Frsize, st.Blocks, st.Bfree, st.Bavail,
		st.Files, st.Ffree, st.Favail, st.Fsid, st.Flag, st.Namemax,
	} {
		b = binary.BigEndian.AppendUint64(b, field)
	}
	return b
}
