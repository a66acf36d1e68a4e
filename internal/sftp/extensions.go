package sftp

import (
	"strings"

	"golang.org/x/sys/unix"
)

// extensions are those that VERSION names.
var extensions = []struct {
	name, version string
	request       func(s *session, id uint32, c *cursor) error
}{
	{"posix-rename@openssh.com", "1", (*session).posixRename},
	{"statvfs@openssh.com", "2", (*session).statvfs},
	{"fstatvfs@openssh.com", "2", (*session).fstatvfs},
	{"hardlink@openssh.com", "1", (*session).hardlink},
	{"fsync@openssh.com", "1", (*session).fsync},
	{"lsetstat@openssh.com", "1", (*session).lsetstat},
	{"limits@openssh.com", "1", (*session).limits},
	{"expand-path@openssh.com", "1", (*session).expandPath},
	{"copy-data", "1", (*session).copyData},
	{"home-directory", "1", (*session).homeDirectory},
	{"users-groups-by-id@openssh.com", "1", (*session).usersGroups},
}

// extended finds the request in the list, which is made at the start of the
// program and would refer to itself if init read it there.
func (s *session) extended(id uint32, c *cursor) error {
	name := string(c.string())
	if c.err != nil {
		return c.err
	}
	for _, extension := range extensions {
		if extension.name == name {
			return extension.request(s, id, c)
		}
	}
	return statusUnsupported
}

func (s *session) posixRename(_ uint32, c *cursor) error {
	return s.onPaths(c, "rename", func(from, to string) error { return s.files.Rename(from, to, true) })
}

func (s *session) hardlink(_ uint32, c *cursor) error { return s.onPaths(c, "link", s.files.Link) }

func (s *session) lsetstat(_ uint32, c *cursor) error { return s.setstatPath(c, false) }

func (s *session) statvfs(id uint32, c *cursor) error {
	path := c.path()
	if c.err != nil {
		return c.err
	}
	st, err := s.files.StatVFS(path)
	if err != nil {
		return err
	}
	return s.putStatVFS(id, st)
}

func (s *session) fstatvfs(id uint32, c *cursor) error {
	h := s.file(c)
	if c.err != nil {
		return c.err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(h.fd, &st); err != nil {
		return err
	}
	return s.putStatVFS(id, StatVFSOf(&st))
}

func (s *session) putStatVFS(id uint32, st StatVFS) error {
	at := s.begin(typeExtendedReply, id, smallReply)
	for _, field := range []uint64{
		st.Bsize, st.Frsize, st.Blocks, st.Bfree, st.Bavail,
		st.Files, st.Ffree, st.Favail, st.Fsid, st.Flag, st.Namemax,
	} {
		s.putUint64(field)
	}
	return s.finish(at)
}

// fsync takes its time, so what is answered already is sent before.
func (s *session) fsync(_ uint32, c *cursor) error {
	h := s.handle(c)
	if c.err != nil {
		return c.err
	}
	if h == nil || h.dir != nil {
		return unix.ENOENT
	}
	if err := s.flush(); err != nil {
		return err
	}
	return unix.Fsync(h.fd)
}

// limits tells the sizes, and shows that the peer takes them.
func (s *session) limits(id uint32, _ *cursor) error {
	s.options.LargeReplies = true
	at := s.begin(typeExtendedReply, id, smallReply)
	s.putUint64(maxPacket)
	s.putUint64(maxData)
	s.putUint64(maxData)
	s.putUint64(uint64(s.handles.limit))
	return s.finish(at)
}

// expandPath is REALPATH with "~" and "~user" at the beginning. The first is
// where relative paths start, as in OpenSSH.
func (s *session) expandPath(id uint32, c *cursor) error {
	path := c.path()
	if c.err != nil {
		return c.err
	}
	if name, ok := strings.CutPrefix(path, "~"); ok {
		user, rest, _ := strings.Cut(name, "/")
		path = "./" + rest
		if user != "" {
			home, err := s.files.Home(user)
			if err != nil {
				return err
			}
			path = home + "/" + rest
		}
	}
	if path == "" {
		path = "."
	}
	real, err := s.files.RealPath(path)
	if err != nil {
		return err
	}
	return s.putName(id, real)
}

func (s *session) homeDirectory(id uint32, c *cursor) error {
	user := c.path()
	if c.err != nil {
		return c.err
	}
	home, err := s.files.Home(user)
	if err != nil {
		return err
	}
	return s.putName(id, home)
}

func (s *session) usersGroups(id uint32, c *cursor) error {
	uids, gids := c.uint32s(), c.uint32s()
	if c.err != nil {
		return c.err
	}
	users, groups, err := s.files.Names(uids, gids)
	if err != nil {
		return err
	}
	var lists [2][]byte
	for i, list := range [][]string{users, groups} {
		for _, name := range list {
			lists[i] = appendString(lists[i], name)
		}
	}
	if len(lists[0])+len(lists[1]) > maxData {
		return unix.EMSGSIZE
	}
	at := s.begin(typeExtendedReply, id, maxPacket)
	s.putString(string(lists[0]))
	s.putString(string(lists[1]))
	return s.finish(at)
}
