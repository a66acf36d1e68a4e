package sftp

import (
	"encoding/binary"
	"fmt"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// version is the version of the protocol that is spoken.
const version = 3

// requests are by the type of the packet. Each returns nil for success, a
// status or errno for the peer, errReplied, or what ends the session.
var requests = [...]func(s *session, id uint32, c *sftpwire.Cursor) error{
	sftpwire.TypeOpen:     (*session).open,
	sftpwire.TypeClose:    (*session).closeRequest,
	sftpwire.TypeRead:     (*session).read,
	sftpwire.TypeWrite:    (*session).write,
	sftpwire.TypeLstat:    (*session).lstat,
	sftpwire.TypeFstat:    (*session).fstat,
	sftpwire.TypeSetstat:  (*session).setstat,
	sftpwire.TypeFsetstat: (*session).fsetstat,
	sftpwire.TypeOpendir:  (*session).opendir,
	sftpwire.TypeReaddir:  (*session).readdir,
	sftpwire.TypeRemove:   (*session).remove,
	sftpwire.TypeMkdir:    (*session).mkdir,
	sftpwire.TypeRmdir:    (*session).rmdir,
	sftpwire.TypeRealpath: (*session).realpath,
	sftpwire.TypeStat:     (*session).stat,
	sftpwire.TypeRename:   (*session).rename,
	sftpwire.TypeReadlink: (*session).readlink,
	sftpwire.TypeSymlink:  (*session).symlink,
	sftpwire.TypeExtended: (*session).extended,
}

// dispatch answers one packet, which has at least five bytes. Its error ends
// the session.
func (s *session) dispatch(request []byte) error {
	kind, id := request[0], binary.BigEndian.Uint32(request[1:])
	if kind == sftpwire.TypeInit {
		return s.init(id)
	}
	if !s.started {
		return fmt.Errorf("%w: a request of type %d before INIT", ErrProtocol, kind)
	}
	if int(kind) >= len(requests) || requests[kind] == nil {
		s.putStatus(id, sftpwire.StatusUnsupported)
		return nil
	}
	s.fields = sftpwire.Cursor{Rest: request[5:]}
	err := requests[kind](s, id, &s.fields)
	if err == errReplied {
		return nil
	}
	s.putStatus(id, err)
	if !sftpwire.IsAnswer(err) {
		return err
	}
	return nil
}

func (s *session) init(peer uint32) error {
	if s.started {
		return fmt.Errorf("%w: a second INIT", ErrProtocol)
	}
	if peer < version {
		return fmt.Errorf("%w: the peer speaks version %d, expected 3 or later", ErrProtocol, peer)
	}
	s.started = true
	at := s.begin(sftpwire.TypeVersion, version, 2*smallReply)
	for _, extension := range extensions {
		s.putString(extension.name)
		s.putString(extension.version)
	}
	_ = s.finish(at)
	return nil
}

func (s *session) audit(event Event) {
	if s.options.Audit != nil {
		s.options.Audit(event)
	}
}

// audited tells the audit of a change and returns its error.
func (s *session) audited(op, path, target string, err error) error {
	s.audit(Event{Op: op, Path: path, Target: target, Err: err})
	return err
}

func (s *session) lstat(id uint32, c *sftpwire.Cursor) error { return s.statPath(id, c, false) }
func (s *session) stat(id uint32, c *sftpwire.Cursor) error  { return s.statPath(id, c, true) }

func (s *session) statPath(id uint32, c *sftpwire.Cursor, follow bool) error {
	path := c.Path()
	if c.Err != nil {
		return c.Err
	}
	attr, err := s.files.Stat(path, follow)
	if err != nil {
		return err
	}
	return s.putAttrs(id, attr)
}

func (s *session) setstat(_ uint32, c *sftpwire.Cursor) error { return s.setstatPath(c, true) }

func (s *session) setstatPath(c *sftpwire.Cursor, follow bool) error {
	path, change := c.Path(), c.Change()
	if c.Err != nil {
		return c.Err
	}
	return s.audited("setstat", path, "", s.files.SetStat(path, change, follow))
}

func (s *session) mkdir(_ uint32, c *sftpwire.Cursor) error {
	path, change := c.Path(), c.Change()
	if c.Err != nil {
		return c.Err
	}
	mode := uint32(0o777)
	if change.HasMode {
		mode = change.Mode & 0o7777
	}
	return s.audited("mkdir", path, "", s.files.Mkdir(path, mode))
}

// onPath is a request that holds one path and is answered with success.
func (s *session) onPath(c *sftpwire.Cursor, op string, do func(path string) error) error {
	path := c.Path()
	if c.Err != nil {
		return c.Err
	}
	return s.audited(op, path, "", do(path))
}

func (s *session) rmdir(_ uint32, c *sftpwire.Cursor) error {
	return s.onPath(c, "rmdir", s.files.Rmdir)
}
func (s *session) remove(_ uint32, c *sftpwire.Cursor) error {
	return s.onPath(c, "remove", s.files.Remove)
}

// onPaths is the same with two paths.
func (s *session) onPaths(c *sftpwire.Cursor, op string, do func(first, second string) error) error {
	first, second := c.Path(), c.Path()
	if c.Err != nil {
		return c.Err
	}
	return s.audited(op, first, second, do(first, second))
}

func (s *session) rename(_ uint32, c *sftpwire.Cursor) error {
	return s.onPaths(c, "rename", func(from, to string) error { return s.files.Rename(from, to, false) })
}

// symlink takes the target first, as OpenSSH does, and not as the draft says,
// but for clients that are known to do that.
func (s *session) symlink(_ uint32, c *sftpwire.Cursor) error {
	target, link := c.Path(), c.Path()
	if c.Err != nil {
		return c.Err
	}
	if s.options.LinkFirst {
		target, link = link, target
	}
	return s.audited("symlink", target, link, s.files.Symlink(target, link))
}

func (s *session) readlink(id uint32, c *sftpwire.Cursor) error {
	path := c.Path()
	if c.Err != nil {
		return c.Err
	}
	target, err := s.files.Readlink(path)
	if err != nil {
		return err
	}
	return s.putName(id, target)
}

func (s *session) realpath(id uint32, c *sftpwire.Cursor) error {
	path := c.Path()
	if c.Err != nil {
		return c.Err
	}
	return s.putReal(id, path)
}

// putReal answers with what a path really is; "" is where relative ones start.
func (s *session) putReal(id uint32, path string) error {
	if path == "" {
		path = "."
	}
	real, err := s.files.RealPath(path)
	if err != nil {
		return err
	}
	return s.putName(id, real)
}
