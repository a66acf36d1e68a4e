package sftp

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// extensions are those that VERSION names.
var extensions = []struct {
	name, version string
	request       func(s *session, id uint32, c *sftpwire.Cursor) error
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
func (s *session) extended(id uint32, c *sftpwire.Cursor) error {
	name := string(c.Text())
	if c.Err != nil {
		return c.Err
	}
	for _, extension := range extensions {
		if extension.name == name {
			return extension.request(s, id, c)
		}
	}
	return sftpwire.StatusUnsupported
}

func (s *session) posixRename(_ uint32, c *sftpwire.Cursor) error {
	return s.onPaths(c, "rename", func(from, to string) error { return s.files.Rename(from, to, true) })
}

func (s *session) hardlink(_ uint32, c *sftpwire.Cursor) error {
	return s.onPaths(c, "link", s.files.Link)
}

func (s *session) lsetstat(_ uint32, c *sftpwire.Cursor) error { return s.setstatPath(c, false) }

func (s *session) statvfs(id uint32, c *sftpwire.Cursor) error {
	path := c.Path()
	if c.Err != nil {
		return c.Err
	}
	st, err := s.files.StatVFS(path)
	if err != nil {
		return err
	}
	return s.putStatVFS(id, st)
}

func (s *session) fstatvfs(id uint32, c *sftpwire.Cursor) error {
	h := s.file(c)
	if c.Err != nil {
		return c.Err
	}
	st, err := h.file.StatVFS()
	if err != nil {
		return err
	}
	return s.putStatVFS(id, st)
}

func (s *session) putStatVFS(id uint32, st StatVFS) error {
	at := s.begin(sftpwire.TypeExtendedReply, id, smallReply)
	s.out = sftpwire.AppendStatVFS(s.out, st)
	return s.finish(at)
}

// fsync takes its time, so what is answered already is sent before.
func (s *session) fsync(_ uint32, c *sftpwire.Cursor) error {
	h := s.handle(c)
	if c.Err != nil {
		return c.Err
	}
	if h == nil || h.dir != nil {
		return unix.ENOENT
	}
	if err := s.flush(); err != nil {
		return err
	}
	return h.file.Sync()
}

// limits tells the sizes, and shows that the peer takes them.
func (s *session) limits(id uint32, _ *sftpwire.Cursor) error {
	s.options.LargeReplies = true
	at := s.begin(sftpwire.TypeExtendedReply, id, smallReply)
	s.putUint64(maxPacket)
	s.putUint64(maxData)
	s.putUint64(maxData)
	s.putUint64(uint64(s.handles.limit))
	return s.finish(at)
}

// expandPath is REALPATH with "~" and "~user" at the beginning. The first is
// where relative paths start, as in OpenSSH.
func (s *session) expandPath(id uint32, c *sftpwire.Cursor) error {
	path := c.Path()
	if c.Err != nil {
		return c.Err
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
	return s.putReal(id, path)
}

func (s *session) homeDirectory(id uint32, c *sftpwire.Cursor) error {
	user := c.Path()
	if c.Err != nil {
		return c.Err
	}
	home, err := s.files.Home(user)
	if err != nil {
		return err
	}
	return s.putName(id, home)
}

// maxIDs bounds the users, and the groups, that one request asks for: each may
// be a question to a directory server.
const maxIDs = 1024

func (s *session) usersGroups(id uint32, c *sftpwire.Cursor) error {
	uids, gids := c.Uint32s(), c.Uint32s()
	if c.Err != nil {
		return c.Err
	}
	if len(uids) > maxIDs || len(gids) > maxIDs {
		return unix.EMSGSIZE
	}
	users, groups, err := s.files.Names(uids, gids)
	if err != nil {
		return err
	}
	at := s.begin(sftpwire.TypeExtendedReply, id, smallReply)
	for _, list := range [][]string{users, groups} {
		length := len(s.out)
		s.putUint32(0)
		for _, name := range list {
			s.putString(name)
		}
		binary.BigEndian.PutUint32(s.out[length:], uint32(len(s.out)-length-4))
	}
	return s.finish(at)
}
