package sftp

import (
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// Files does what needs the user's rights: it looks up paths. The engine
// itself only uses the files that Open gave it, so Files may be a client of a
// process that runs as the user.
//
// A path is the bytes that the peer sent: empty where that was sent,
// without NUL, never cleaned, of any encoding. A relative one starts at the
// home directory. At most 4,095 bytes. "..", links and permissions are the kernel's business, under
// the user's uid. What is read-only or denied is refused by Files too, with
// EACCES, so that it holds when the process of the engine is taken over.
//
// An error that is, or wraps, a syscall.Errno is an answer to the peer. Any
// other error says that the user's rights are no longer to be had (the worker
// is gone): it ends the session.
//
// The methods are called from several goroutines: one of the session, and one
// for each directory that is being read ahead.
type Files interface {
	// Open opens as open(2) does. flags are O_RDONLY, O_WRONLY or O_RDWR and of
	// O_CREAT, O_EXCL, O_TRUNC and O_APPEND. It must not wait on a FIFO or
	// device. The caller owns the file from then on and closes it. real
	// is the path of what was opened, links resolved, for the audit; where that
	// is not known it is the path as given.
	Open(path string, flags int, mode uint32) (file File, real string, err error)
	OpenDir(path string) (Dir, error)
	Stat(path string, follow bool) (Attr, error)
	// SetStat applies what change holds in the order size, mode, times, owner,
	// goes on after an error and returns the last one.
	SetStat(path string, change Change, follow bool) error
	// FSetStat does the same to an open file, one of Open or a Descriptor. It is
	// here and not with the file's other uses because chmod, chown and utimes
	// look at the uid of the process and not at how the file was opened. change
	// holds no size.
	FSetStat(file File, change Change) error
	Mkdir(path string, mode uint32) error
	Rmdir(path string) error
	// Remove removes what is no directory.
	Remove(path string) error
	// Rename gives EEXIST where to exists and overwrite is false.
	Rename(from, to string, overwrite bool) error
	// Link makes to another name of from, which is not followed.
	Link(from, to string) error
	// Symlink makes path a link that says target.
	Symlink(target, path string) error
	Readlink(path string) (string, error)
	// RealPath is the absolute path without links. The last component need not
	// exist; those above must.
	RealPath(path string) (string, error)
	StatVFS(path string) (StatVFS, error)
	// Home is the home directory of a user, or of the session's own for "".
	// Of an unknown one it is ENOENT.
	Home(user string) (string, error)
	// Names are the names of users and groups, "" for those without one. It
	// takes as many uids and gids as one packet or directory page holds.
	Names(uids, gids []uint32) (users, groups []string, err error)
}

// Dir is a directory being read.
type Dir interface {
	// Next is the next page of entries, "." and ".." among them, and io.EOF
	// with or after the last; it is not called again then. A page is some hundred entries: the engine asks for one
	// while it sends the one before, and splits and joins them to replies. The
	// caller may keep what it got.
	Next() ([]Entry, error)
	// Close is called once, never during Next.
	Close() error
}

// What the methods say and are told, as packets hold it.
type (
	Entry   = sftpwire.Entry
	Attr    = sftpwire.Attr
	Change  = sftpwire.Change
	StatVFS = sftpwire.StatVFS
)

// AttrOf is what a system call said.
func AttrOf(st *unix.Stat_t) Attr {
	return Attr{
		Size: uint64(st.Size), Mode: st.Mode, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid,
		Atime: st.Atim.Sec, Mtime: st.Mtim.Sec,
	}
}

// StatVFSOf is what a system call said.
func StatVFSOf(st *unix.Statfs_t) StatVFS {
	const readOnly, noSUID = 1, 2
	return StatVFS{
		Bsize: uint64(st.Bsize), Frsize: uint64(st.Frsize),
		Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail,
		Files: st.Files, Ffree: st.Ffree, Favail: st.Ffree,
		Fsid: uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
		Flag: uint64(st.Flags) & (readOnly | noSUID), Namemax: uint64(st.Namelen),
	}
}
