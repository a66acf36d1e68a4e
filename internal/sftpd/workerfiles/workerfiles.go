// Package workerfiles lets the SFTP engine, in a process without rights, use files
// by way of a worker that has the user's.
//
// The entry points are [NewClient], in the front, and [Serve], in the worker.
// Neither believes the other: a client takes nothing but the fields it asked
// for, in messages of bounded size, and descriptors of regular files alone; a
// server does what its user could do anyway. Questions are answered one after
// the other.
//
// A front serves many people, so no file of one may hold up the others. That
// is what [checkPassable] protects, and both sides look: the server so that it
// passes nothing else, the client as the server may be anybody's.
//
//   - A FIFO, a socket or a device has a thread of the front wait.
//   - A directory would lead out of the front's empty root.
//   - A file of FUSE is answered by a program of the person, when that likes.
//     The kernel also refuses to tell another uid anything of it unless it is
//     mounted with allow_other.
//   - A file system laid over another one (overlay, eCryptfs) has files of FUSE
//     if that one has. In a namespace of their own, people lay an overlay
//     themselves.
//   - A file of /proc shows the memory of processes, and that can be a file of
//     FUSE too. What is written to one of a control group or of /sys has the
//     kernel do something for as long as that takes.
//
// Files of the latter three kinds are therefore kept by the server, which reads and writes them
// with the user's ids, and the client has a number for each. A server that
// somebody has taken over can pass one of FUSE all the same, and has the thread
// that refuses it wait: closing a file is a request too.
package workerfiles

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
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
	opPread
	opPwrite
	opKeptStat
	opKeptStatVFS
	opKeptSetStat
	opTruncate
	opSync
	opCloseFile
)

// pageSize bounds a page of entries, in bytes; a name may take PATH_MAX.
const pageSize = seqpacket.MaxSize - 8<<10

// maxQuestion bounds a question in bytes: two paths, or the ids of a page.
const maxQuestion = 16 << 10

// maxKept bounds the files that one session has open in the worker.
const maxKept = 1024

// maxChunk bounds the data of a kept file in one message.
const maxChunk = seqpacket.MaxSize - 64

// maxDirs bounds the directories that one session has open in the worker.
const maxDirs = 1024

// errKeep says that a file is to stay with the server.
var errKeep = errors.New("a file that no front can have")

// keptOn are the file systems whose files stay with the server.
var keptOn = map[uint32]bool{
	unix.FUSE_SUPER_MAGIC:      true,
	unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.ECRYPTFS_SUPER_MAGIC:  true,
	unix.PROC_SUPER_MAGIC:      true,
	unix.SYSFS_MAGIC:           true,
	unix.CGROUP_SUPER_MAGIC:    true,
	unix.CGROUP2_SUPER_MAGIC:   true,
}

// checkPassable refuses a descriptor that no front is to have. A directory
// gives what reading it gives, as in OpenSSH.
func checkPassable(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return syscall.EACCES
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return syscall.EISDIR
	default:
		return syscall.EACCES
	}
	var at unix.Statfs_t
	if err := unix.Fstatfs(fd, &at); err != nil {
		return syscall.EACCES
	}
	if keptOn[uint32(at.Type)] {
		return errKeep
	}
	return nil
}

func putAttr(w *fields.Writer, a sftp.Attr) {
	w.U64(a.Size).U32(a.Mode).U32(a.Nlink).U32(a.UID).U32(a.GID).U64(uint64(a.Atime)).U64(uint64(a.Mtime))
}

func getAttr(r *fields.Reader) sftp.Attr {
	return sftp.Attr{Size: r.U64(), Mode: r.U32(), Nlink: r.U32(), UID: r.U32(), GID: r.U32(), Atime: int64(r.U64()), Mtime: int64(r.U64())}
}

func putFileStat(w *fields.Writer, a sftp.Attr, id sftp.FileID) {
	putAttr(w, a)
	w.U64(id.Dev).U64(id.Ino)
}

func getFileStat(r *fields.Reader) (sftp.Attr, sftp.FileID) {
	return getAttr(r), sftp.FileID{Dev: r.U64(), Ino: r.U64()}
}

func putChange(w *fields.Writer, c sftp.Change) {
	w.Bool(c.HasSize).Bool(c.HasMode).Bool(c.HasTimes).Bool(c.HasOwner)
	w.U64(c.Size).U32(c.Mode).U32(c.Atime).U32(c.Mtime).U32(c.UID).U32(c.GID)
}

func getChange(r *fields.Reader) sftp.Change {
	return sftp.Change{HasSize: r.Bool(), HasMode: r.Bool(), HasTimes: r.Bool(), HasOwner: r.Bool(),
		Size: r.U64(), Mode: r.U32(), Atime: r.U32(), Mtime: r.U32(), UID: r.U32(), GID: r.U32()}
}

func putStatVFS(w *fields.Writer, s sftp.StatVFS) {
	for _, v := range [...]uint64{s.Bsize, s.Frsize, s.Blocks, s.Bfree, s.Bavail, s.Files, s.Ffree, s.Favail, s.Fsid, s.Flag, s.Namemax} {
		w.U64(v)
	}
}

func getStatVFS(r *fields.Reader) (s sftp.StatVFS) {
	for _, v := range [...]*uint64{&s.Bsize, &s.Frsize, &s.Blocks, &s.Bfree, &s.Bavail, &s.Files, &s.Ffree, &s.Favail, &s.Fsid, &s.Flag, &s.Namemax} {
		*v = r.U64()
	}
	return s
}
