// Package sftpwire is the wire format of SFTP version 3
// (draft-ietf-secsh-filexfer-02): what packets, attributes and answers hold.
//
// The entry points are [Cursor], which takes requests apart, and the Append
// functions. The package promises that nothing it is given panics, and that it
// allocates no more than the bytes that are there call for.
package sftpwire

// The types of packets.
const (
	TypeInit          = 1
	TypeVersion       = 2
	TypeOpen          = 3
	TypeClose         = 4
	TypeRead          = 5
	TypeWrite         = 6
	TypeLstat         = 7
	TypeFstat         = 8
	TypeSetstat       = 9
	TypeFsetstat      = 10
	TypeOpendir       = 11
	TypeReaddir       = 12
	TypeRemove        = 13
	TypeMkdir         = 14
	TypeRmdir         = 15
	TypeRealpath      = 16
	TypeStat          = 17
	TypeRename        = 18
	TypeReadlink      = 19
	TypeSymlink       = 20
	TypeStatus        = 101
	TypeHandle        = 102
	TypeData          = 103
	TypeName          = 104
	TypeAttrs         = 105
	TypeExtended      = 200
	TypeExtendedReply = 201
)

// Entry is a name in a directory with what lstat says of it.
type Entry struct {
	Name string
	Attr Attr
}

// Attr is what stat says.
type Attr struct {
	Size     uint64
	Mode     uint32 // type and permissions, st_mode
	Nlink    uint32
	UID, GID uint32
	Atime    int64 // seconds since 1970
	Mtime    int64
}

// Change is what SETSTAT, FSETSTAT, MKDIR and OPEN may set: the fields whose
// Has is true.
type Change struct {
	HasSize, HasMode, HasTimes, HasOwner bool

	Size         uint64
	Mode         uint32 // only 07777 is meant
	Atime, Mtime uint32 // seconds since 1970
	UID, GID     uint32
}

// StatVFS is what statvfs(3) says, in the order of the extension.
type StatVFS struct {
	Bsize, Frsize, Blocks, Bfree, Bavail, Files, Ffree, Favail, Fsid, Flag, Namemax uint64
}
