// Package remote lets the SFTP engine, in a process without rights, use files
// by way of a worker that has the user's.
//
// The entry points are [NewClient], in the front, and [Serve], in the worker.
// Neither believes the other: a client takes nothing but the fields it asked
// for, in messages of bounded size, and descriptors of regular files alone; a
// server does what its user could do anyway. Questions are answered one after
// the other.
package remote

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/packet"
)

// The questions.
const (
	opOpen = iota + 1
	opOpenDir
	opNext
	opCloseDir
	opStat
	opSetStat
	opFSetStat
	opMkdir
	opRmdir
	opRemove
	opRename
	opLink
	opSymlink
	opReadlink
	opRealPath
	opStatVFS
	opHome
	opNames
)

// pageSize bounds a page of entries, in bytes; a name may take PATH_MAX.
const pageSize = packet.MaxSize - 8<<10

// maxQuestion bounds a question in bytes: two paths, or the ids of a page.
const maxQuestion = 16 << 10

// maxDirs bounds the directories that one session has open in the worker.
const maxDirs = 1024

// checkRegular refuses a descriptor that no front is to have: what is no
// regular file could hold up the whole process, with all the people in it, and
// a directory would lead out of its empty root. A directory gives what reading
// it gives, as in OpenSSH.
func checkRegular(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return syscall.EACCES
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		return syscall.EISDIR
	}
	return syscall.EACCES
}

func putAttr(w *packet.Writer, a sftp.Attr) {
	w.U64(a.Size).U32(a.Mode).U32(a.Nlink).U32(a.UID).U32(a.GID).U64(uint64(a.Atime)).U64(uint64(a.Mtime))
}

func getAttr(r *packet.Reader) sftp.Attr {
	return sftp.Attr{Size: r.U64(), Mode: r.U32(), Nlink: r.U32(), UID: r.U32(), GID: r.U32(), Atime: int64(r.U64()), Mtime: int64(r.U64())}
}

func putChange(w *packet.Writer, c sftp.Change) {
	w.Bool(c.HasSize).Bool(c.HasMode).Bool(c.HasTimes).Bool(c.HasOwner)
	w.U64(c.Size).U32(c.Mode).U32(c.Atime).U32(c.Mtime).U32(c.UID).U32(c.GID)
}

func getChange(r *packet.Reader) sftp.Change {
	return sftp.Change{HasSize: r.Bool(), HasMode: r.Bool(), HasTimes: r.Bool(), HasOwner: r.Bool(),
		Size: r.U64(), Mode: r.U32(), Atime: r.U32(), Mtime: r.U32(), UID: r.U32(), GID: r.U32()}
}

func putStatVFS(w *packet.Writer, s sftp.StatVFS) {
	for _, v := range [...]uint64{s.Bsize, s.Frsize, s.Blocks, s.Bfree, s.Bavail, s.Files, s.Ffree, s.Favail, s.Fsid, s.Flag, s.Namemax} {
		w.U64(v)
	}
}

func getStatVFS(r *packet.Reader) (s sftp.StatVFS) {
	for _, v := range [...]*uint64{&s.Bsize, &s.Frsize, &s.Blocks, &s.Bfree, &s.Bavail, &s.Files, &s.Ffree, &s.Favail, &s.Fsid, &s.Flag, &s.Namemax} {
		*v = r.U64()
	}
	return s
}
