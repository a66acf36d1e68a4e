package workerfiles

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// Serve answers the questions on conn with files until conn ends, which is no
// error.
func Serve(conn *seqpacket.Conn, files sftp.Files) error {
	s := &server{files: files, dirs: map[uint32]*openDir{}, kept: map[uint32]sftp.File{}}
	defer s.close()
	small := make([]byte, maxQuestion)
	buffer := small
	for {
		// Nobody but who has a file here sends data.
		if len(s.kept) == 0 {
			buffer = small
		} else if len(buffer) == maxQuestion {
			buffer = make([]byte, seqpacket.MaxSize)
		}
		n, fds, err := conn.Receive(buffer)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("question: %w", err)
		}
		s.out.Bytes = s.out.Bytes[:0]
		s.out.U32(0)
		s.send = -1
		question := fields.NewReader(buffer[:n])
		err = s.answer(question.U8(), question, fds)
		seqpacket.CloseAll(fds)
		if errors.Is(err, fields.ErrMalformed) {
			return err
		}
		if err := s.reply(conn, err); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		if cap(s.out.Bytes) > maxQuestion && len(s.kept) == 0 {
			s.out.Bytes = nil
		}
	}
}

type server struct {
	files sftp.Files
	dirs  map[uint32]*openDir
	kept  map[uint32]sftp.File // open files that no front is to have
	next  uint32               // what the last directory or file was called
	out   fields.Writer
	send  int // a descriptor for the answer, or -1
}

// openDir keeps what did not fit into a page.
type openDir struct {
	dir  sftp.Dir
	rest []sftp.Entry
}

func (s *server) close() {
	for _, d := range s.dirs {
		_ = d.dir.Close() // nobody is left to tell
	}
	for _, file := range s.kept {
		_ = file.Close()
	}
}

func (s *server) reply(conn *seqpacket.Conn, err error) error {
	if err == nil && len(s.out.Bytes) > seqpacket.MaxSize {
		err = syscall.ENAMETOOLONG
	}
	if err != nil {
		var errno syscall.Errno
		if !errors.As(err, &errno) || errno == 0 {
			errno = syscall.EIO
		}
		s.out.Bytes = s.out.Bytes[:0]
		s.out.U32(uint32(errno))
	}
	if s.send < 0 {
		return conn.Send(s.out.Bytes)
	}
	defer unix.Close(s.send)
	if err != nil {
		return conn.Send(s.out.Bytes)
	}
	return conn.Send(s.out.Bytes, s.send)
}

// answer does what is asked. fields.ErrMalformed is the only error that the
// question is to blame for.
func (s *server) answer(op uint8, q *fields.Reader, fds []int) error {
	if (op == opFSetStat) != (len(fds) == 1) || len(fds) > 1 {
		return fields.ErrMalformed
	}
	switch op {
	case opOpen:
		path, flags, mode := q.Text(), q.U32(), q.U32()
		return q.Then(func() error { return s.open(path, int(flags), mode) })
	case opOpenDir, opNext, opCloseDir:
		return s.directory(op, q)
	case opPread, opPwrite, opKeptStat, opKeptStatVFS, opKeptSetStat, opTruncate, opSync, opCloseFile:
		return s.file(op, q)
	case opStat:
		path, follow := q.Text(), q.Bool()
		return q.Then(func() error {
			attr, err := s.files.Stat(path, follow)
			putAttr(&s.out, attr)
			return err
		})
	case opSetStat:
		path, follow, change := q.Text(), q.Bool(), getChange(q)
		return q.Then(func() error { return s.files.SetStat(path, change, follow) })
	case opFSetStat:
		change := getChange(q)
		return q.Then(func() error { return s.files.FSetStat(sftp.Descriptor(fds[0]), change) })
	case opStatVFS:
		path := q.Text()
		return q.Then(func() error {
			stat, err := s.files.StatVFS(path)
			putStatVFS(&s.out, stat)
			return err
		})
	case opNames:
		uids, gids := q.U32s(), q.U32s()
		return q.Then(func() error {
			users, groups, err := s.files.Names(uids, gids)
			s.out.Texts(users).Texts(groups)
			return err
		})
	case opReadlink, opRealPath, opHome:
		path := q.Text()
		return q.Then(func() error {
			text, err := map[uint8]func(string) (string, error){opReadlink: s.files.Readlink, opRealPath: s.files.RealPath, opHome: s.files.Home}[op](path)
			s.out.Text(text)
			return err
		})
	}
	return s.change(op, q)
}

// change answers the questions that change a name.
func (s *server) change(op uint8, q *fields.Reader) error {
	path := q.Text()
	switch op {
	case opMkdir:
		mode := q.U32()
		return q.Then(func() error { return s.files.Mkdir(path, mode) })
	case opRmdir:
		return q.Then(func() error { return s.files.Rmdir(path) })
	case opRemove:
		return q.Then(func() error { return s.files.Remove(path) })
	case opRename:
		to, overwrite := q.Text(), q.Bool()
		return q.Then(func() error { return s.files.Rename(path, to, overwrite) })
	case opLink:
		to := q.Text()
		return q.Then(func() error { return s.files.Link(path, to) })
	case opSymlink:
		link := q.Text()
		return q.Then(func() error { return s.files.Symlink(path, link) })
	}
	return fields.ErrMalformed
}

func (s *server) directory(op uint8, q *fields.Reader) error {
	if op == opOpenDir {
		path := q.Text()
		return q.Then(func() error { return s.openDir(path) })
	}
	id := q.U32()
	d, found := s.dirs[id]
	if q.Done() != nil || !found {
		return fields.ErrMalformed
	}
	if op == opCloseDir {
		delete(s.dirs, id)
		return d.dir.Close()
	}
	if len(d.rest) == 0 {
		entries, err := d.dir.Next()
		if err == io.EOF {
			s.out.Bool(true).U32(0)
			return nil
		}
		if err != nil {
			return err
		}
		d.rest = entries
	}
	s.page(d)
	return nil
}

func (s *server) openDir(path string) error {
	if len(s.dirs) >= maxDirs {
		return syscall.EMFILE
	}
	dir, err := s.files.OpenDir(path)
	if err != nil {
		return err
	}
	s.next++
	s.dirs[s.next] = &openDir{dir: dir}
	s.out.U32(s.next)
	return nil
}

// page writes as many entries as fit.
func (s *server) page(d *openDir) {
	s.out.Bool(false)
	count := len(s.out.Bytes)
	s.out.U32(0)
	n := uint32(0)
	for len(d.rest) > 0 && len(s.out.Bytes) < pageSize {
		s.out.Text(d.rest[0].Name)
		putAttr(&s.out, d.rest[0].Attr)
		d.rest = d.rest[1:]
		n++
	}
	var number fields.Writer
	number.U32(n)
	copy(s.out.Bytes[count:], number.Bytes)
}
