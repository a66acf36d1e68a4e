package workerfiles

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// Client is sftp.Files over a connection to a worker.
type Client struct {
	conn   *seqpacket.Conn
	mu     sync.Mutex // one question at a time
	out    fields.Writer
	broken error
}

var buffers = sync.Pool{New: func() any { return new([seqpacket.MaxSize]byte) }}

// NewClient uses conn until it is closed by the caller.
func NewClient(conn *seqpacket.Conn) *Client { return &Client{conn: conn} }

// ask sends a question that fill writes and has take read the answer. An
// error that is no syscall.Errno means that the worker is not to be used.
func (c *Client) ask(op uint8, fill func(*fields.Writer), take func(*fields.Reader), fds ...int) error {
	_, err := c.askFor(op, fill, func(r *fields.Reader) int { take(r); return 0 }, fds...)
	return err
}

// askFor does the same where take says how many descriptors come with the
// answer.
func (c *Client) askFor(op uint8, fill func(*fields.Writer), take func(*fields.Reader) int, fds ...int) ([]int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return nil, c.broken
	}
	c.out.Bytes = append(c.out.Bytes[:0], op)
	fill(&c.out)
	if len(c.out.Bytes) > maxQuestion && op != opPwrite {
		return nil, syscall.ENAMETOOLONG
	}
	got, err := c.exchange(take, fds)
	if cap(c.out.Bytes) > maxQuestion {
		c.out.Bytes = nil
	}
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		c.broken = fmt.Errorf("worker: %w", err)
		return nil, c.broken
	}
	return got, err
}

// exchange must not give an errno of its own: that would be the worker's
// answer.
func (c *Client) exchange(take func(*fields.Reader) int, fds []int) ([]int, error) {
	if err := c.conn.Send(c.out.Bytes, fds...); err != nil {
		return nil, errors.New(err.Error())
	}
	buffer := buffers.Get().(*[seqpacket.MaxSize]byte)
	defer buffers.Put(buffer)
	n, got, err := c.conn.Receive(buffer[:])
	if err != nil {
		return nil, errors.New(err.Error())
	}
	answer := fields.NewReader(buffer[:n])
	errno := syscall.Errno(answer.U32())
	if errno != 0 {
		seqpacket.CloseAll(got)
		if answer.Done() != nil || errno > maxErrno {
			return nil, fields.ErrMalformed
		}
		return nil, errno
	}
	if files := take(answer); answer.Done() != nil || len(got) != files {
		seqpacket.CloseAll(got)
		return nil, fields.ErrMalformed
	}
	return got, nil
}

// maxErrno is MAX_ERRNO of the kernel.
const maxErrno = 4095

func nothing(*fields.Reader) {}

// Open implements sftp.Files.
func (c *Client) Open(path string, flags int, mode uint32) (sftp.File, string, error) {
	var real string
	var id uint32
	fds, err := c.askFor(opOpen, func(w *fields.Writer) { w.Text(path).U32(uint32(flags)).U32(mode) }, func(r *fields.Reader) int {
		real, id = r.Text(), r.U32()
		if id != 0 {
			return 0
		}
		return 1
	})
	if err != nil {
		return nil, "", err
	}
	if id != 0 {
		return &kept{c, id}, real, nil
	}
	if err := checkPassable(fds[0]); err != nil {
		unix.Close(fds[0])
		if err == errKeep {
			err = syscall.EACCES
		}
		return nil, "", err
	}
	return sftp.Descriptor(fds[0]), real, nil
}

// OpenDir implements sftp.Files.
func (c *Client) OpenDir(path string) (sftp.Dir, error) {
	var id uint32
	err := c.ask(opOpenDir, func(w *fields.Writer) { w.Text(path) }, func(r *fields.Reader) { id = r.U32() })
	if err != nil {
		return nil, err
	}
	return &dir{c, id}, nil
}

type dir struct {
	client *Client
	id     uint32
}

// Next implements sftp.Dir.
func (d *dir) Next() ([]sftp.Entry, error) {
	var entries []sftp.Entry
	var end bool
	err := d.client.ask(opNext, func(w *fields.Writer) { w.U32(d.id) }, func(r *fields.Reader) {
		end = r.Bool()
		for n := min(r.U32(), seqpacket.MaxSize/40); n > 0; n-- {
			entries = append(entries, sftp.Entry{Name: r.Text(), Attr: getAttr(r)})
		}
	})
	if err == nil && end {
		return nil, io.EOF
	}
	return entries, err
}

// Close implements sftp.Dir.
func (d *dir) Close() error {
	return d.client.ask(opCloseDir, func(w *fields.Writer) { w.U32(d.id) }, nothing)
}

// Stat implements sftp.Files.
func (c *Client) Stat(path string, follow bool) (attr sftp.Attr, err error) {
	err = c.ask(opStat, func(w *fields.Writer) { w.Text(path).Bool(follow) }, func(r *fields.Reader) { attr = getAttr(r) })
	return attr, err
}

// SetStat implements sftp.Files.
func (c *Client) SetStat(path string, change sftp.Change, follow bool) error {
	return c.ask(opSetStat, func(w *fields.Writer) { putChange(w.Text(path).Bool(follow), change) }, nothing)
}

// FSetStat implements sftp.Files.
func (c *Client) FSetStat(file sftp.File, change sftp.Change) error {
	switch file := file.(type) {
	case *kept:
		return c.ask(opKeptSetStat, func(w *fields.Writer) { putChange(w.U32(file.id), change) }, nothing)
	case sftp.Descriptor:
		return c.ask(opFSetStat, func(w *fields.Writer) { putChange(w, change) }, nothing, int(file))
	}
	return syscall.EBADF
}

// Mkdir implements sftp.Files.
func (c *Client) Mkdir(path string, mode uint32) error {
	return c.ask(opMkdir, func(w *fields.Writer) { w.Text(path).U32(mode) }, nothing)
}

// Rmdir implements sftp.Files.
func (c *Client) Rmdir(path string) error {
	return c.ask(opRmdir, func(w *fields.Writer) { w.Text(path) }, nothing)
}

// Remove implements sftp.Files.
func (c *Client) Remove(path string) error {
	return c.ask(opRemove, func(w *fields.Writer) { w.Text(path) }, nothing)
}

// Rename implements sftp.Files.
func (c *Client) Rename(from, to string, overwrite bool) error {
	return c.ask(opRename, func(w *fields.Writer) { w.Text(from).Text(to).Bool(overwrite) }, nothing)
}

// Link implements sftp.Files.
func (c *Client) Link(from, to string) error {
	return c.ask(opLink, func(w *fields.Writer) { w.Text(from).Text(to) }, nothing)
}

// Symlink implements sftp.Files.
func (c *Client) Symlink(target, path string) error {
	return c.ask(opSymlink, func(w *fields.Writer) { w.Text(target).Text(path) }, nothing)
}

// text asks what is said of a text in one.
func (c *Client) text(op uint8, about string) (text string, err error) {
	err = c.ask(op, func(w *fields.Writer) { w.Text(about) }, func(r *fields.Reader) { text = r.Text() })
	return text, err
}

// Readlink implements sftp.Files.
func (c *Client) Readlink(path string) (target string, err error) { return c.text(opReadlink, path) }

// RealPath implements sftp.Files.
func (c *Client) RealPath(path string) (real string, err error) { return c.text(opRealPath, path) }

// StatVFS implements sftp.Files.
func (c *Client) StatVFS(path string) (s sftp.StatVFS, err error) {
	err = c.ask(opStatVFS, func(w *fields.Writer) { w.Text(path) }, func(r *fields.Reader) { s = getStatVFS(r) })
	return s, err
}

// Home implements sftp.Files.
func (c *Client) Home(user string) (home string, err error) { return c.text(opHome, user) }

// Names implements sftp.Files.
func (c *Client) Names(uids, gids []uint32) (users, groups []string, err error) {
	for len(uids) > 0 || len(gids) > 0 {
		u, g := uids[:min(len(uids), namesAtOnce)], gids[:min(len(gids), namesAtOnce)]
		uids, gids = uids[len(u):], gids[len(g):]
		someUsers, someGroups, err := c.someNames(u, g)
		if err != nil {
			return nil, nil, err
		}
		users, groups = append(users, someUsers...), append(groups, someGroups...)
	}
	return users, groups, nil
}

// namesAtOnce bounds a question, and its answer: names have up to
// messages.MaxName bytes.
const namesAtOnce = 250

func (c *Client) someNames(uids, gids []uint32) (users, groups []string, err error) {
	err = c.ask(opNames, func(w *fields.Writer) { w.U32s(uids).U32s(gids) }, func(r *fields.Reader) { users, groups = r.Texts(), r.Texts() })
	if err == nil && (len(users) != len(uids) || len(groups) != len(gids)) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.broken = fmt.Errorf("worker: %w", fields.ErrMalformed)
		return nil, nil, c.broken
	}
	return users, groups, err
}
