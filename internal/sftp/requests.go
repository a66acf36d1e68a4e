package sftp

import (
	"encoding/binary"
	"fmt"
)

// version is the version of the protocol that is spoken.
const version = 3

// requests are by the type of the packet. Each returns nil for success, a
// status or errno for the peer, errReplied, or what ends the session.
var requests = [...]func(s *session, id uint32, c *cursor) error{
	typeOpen:     (*session).open,
	typeClose:    (*session).closeRequest,
	typeRead:     (*session).read,
	typeWrite:    (*session).write,
	typeLstat:    (*session).lstat,
	typeFstat:    (*session).fstat,
	typeSetstat:  (*session).setstat,
	typeFsetstat: (*session).fsetstat,
	typeOpendir:  (*session).opendir,
	typeReaddir:  (*session).readdir,
	typeRemove:   (*session).remove,
	typeMkdir:    (*session).mkdir,
	typeRmdir:    (*session).rmdir,
	typeRealpath: (*session).realpath,
	typeStat:     (*session).stat,
	typeRename:   (*session).rename,
	typeReadlink: (*session).readlink,
	typeSymlink:  (*session).symlink,
	typeExtended: (*session).extended,
}

// dispatch answers one packet, which has at least five bytes. Its error ends
// the session.
func (s *session) dispatch(packet []byte) error {
	kind, id := packet[0], binary.BigEndian.Uint32(packet[1:])
	if kind == typeInit {
		return s.init(id)
	}
	if !s.started {
		return fmt.Errorf("%w: a request of type %d before INIT", ErrProtocol, kind)
	}
	if int(kind) >= len(requests) || requests[kind] == nil {
		s.putStatus(id, statusUnsupported)
		return nil
	}
	err := requests[kind](s, id, &cursor{rest: packet[5:]})
	if err == errReplied {
		return nil
	}
	s.putStatus(id, err)
	if !isAnswer(err) {
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
	at := s.begin(typeVersion, version, 2*smallReply)
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

func (s *session) lstat(id uint32, c *cursor) error { return s.statPath(id, c, false) }
func (s *session) stat(id uint32, c *cursor) error  { return s.statPath(id, c, true) }

func (s *session) statPath(id uint32, c *cursor, follow bool) error {
	path := c.path()
	if c.err != nil {
		return c.err
	}
	attr, err := s.files.Stat(path, follow)
	if err != nil {
		return err
	}
	return s.putAttrs(id, attr)
}

func (s *session) setstat(_ uint32, c *cursor) error { return s.setstatPath(c, true) }

func (s *session) setstatPath(c *cursor, follow bool) error {
	path, change := c.path(), c.change()
	if c.err != nil {
		return c.err
	}
	return s.audited("setstat", path, "", s.files.SetStat(path, change, follow))
}

func (s *session) mkdir(_ uint32, c *cursor) error {
	path, change := c.path(), c.change()
	if c.err != nil {
		return c.err
	}
	mode := uint32(0o777)
	if change.HasMode {
		mode = change.Mode & 0o7777
	}
	return s.audited("mkdir", path, "", s.files.Mkdir(path, mode))
}

// onPath is a request that holds one path and is answered with success.
func (s *session) onPath(c *cursor, op string, do func(path string) error) error {
	path := c.path()
	if c.err != nil {
		return c.err
	}
	return s.audited(op, path, "", do(path))
}

func (s *session) rmdir(_ uint32, c *cursor) error  { return s.onPath(c, "rmdir", s.files.Rmdir) }
func (s *session) remove(_ uint32, c *cursor) error { return s.onPath(c, "remove", s.files.Remove) }

// onPaths is the same with two paths.
func (s *session) onPaths(c *cursor, op string, do func(first, second string) error) error {
	first, second := c.path(), c.path()
	if c.err != nil {
		return c.err
	}
	return s.audited(op, first, second, do(first, second))
}

func (s *session) rename(_ uint32, c *cursor) error {
	return s.onPaths(c, "rename", func(from, to string) error { return s.files.Rename(from, to, false) })
}

// symlink takes the target first, as OpenSSH does, and not as the draft says.
func (s *session) symlink(_ uint32, c *cursor) error {
	return s.onPaths(c, "symlink", s.files.Symlink)
}

func (s *session) readlink(id uint32, c *cursor) error {
	path := c.path()
	if c.err != nil {
		return c.err
	}
	target, err := s.files.Readlink(path)
	if err != nil {
		return err
	}
	return s.putName(id, target)
}

func (s *session) realpath(id uint32, c *cursor) error {
	path := c.path()
	if c.err != nil {
		return c.err
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
