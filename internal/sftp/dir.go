package sftp

import (
	"encoding/binary"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

const (
	// largeNames and usualNames bound a READDIR reply in bytes. OpenSSH's server
	// sends a hundred names, some 15 KiB, so every client takes 32 KiB.
	largeNames = 200 << 10
	usualNames = 32 << 10
)

// directory is an open directory. One page is always being fetched while the
// one before is sent.
type directory struct {
	dir   Dir
	pages chan page // of one, so that the goroutine never waits
	rest  []Entry   // of the page that is being sent
	end   error     // why there are no more pages, once it is known
}

type page struct {
	entries []Entry
	err     error
}

func newDirectory(dir Dir) *directory {
	d := &directory{dir: dir, pages: make(chan page, 1)}
	d.fetch()
	return d
}

func (d *directory) fetch() {
	go func() {
		entries, err := d.dir.Next()
		d.pages <- page{entries, err}
	}()
}

// peek is the next entry, or nil and why there is none.
func (d *directory) peek(s *session) (*Entry, error) {
	for len(d.rest) == 0 {
		if d.end != nil {
			return nil, d.end
		}
		page := <-d.pages
		if page.err != nil {
			d.end = page.err
		} else {
			d.fetch()
		}
		// Before what can fail, or an error would lose the page.
		d.rest = page.entries
		if err := s.names.Learn(s.files, page.entries); err != nil {
			return nil, err
		}
	}
	return &d.rest[0], nil
}

// close closes the directory as soon as nobody reads it.
func (d *directory) close() {
	if d.end != nil {
		_ = d.dir.Close()
		return
	}
	go func() {
		<-d.pages
		_ = d.dir.Close()
	}()
}

func (s *session) opendir(id uint32, c *sftpwire.Cursor) error {
	path := c.Path()
	if c.Err != nil {
		return c.Err
	}
	if !s.admit(true) {
		return s.audited("open", path, "", unix.EMFILE)
	}
	dir, err := s.files.OpenDir(path)
	if err != nil {
		s.closed(true)
		return s.audited("open", path, "", err)
	}
	return s.putHandle(id, handle{path: path, dir: newDirectory(dir)})
}

// readdir answers with as many entries as are there and fit in.
func (s *session) readdir(id uint32, c *sftpwire.Cursor) error {
	h := s.handle(c)
	if c.Err != nil {
		return c.Err
	}
	if h == nil || h.dir == nil {
		return sftpwire.StatusFailure
	}
	limit := usualNames
	if s.options.LargeReplies {
		limit = largeNames
	}
	entry, err := h.dir.peek(s)
	if err == io.EOF {
		return sftpwire.StatusEOF
	}
	if err != nil {
		return err
	}
	at := s.begin(sftpwire.TypeName, id, maxPacket)
	count := uint32(0)
	s.putUint32(0)
	now := time.Now()
	for entry != nil {
		before := len(s.out)
		s.putEntry(entry, now)
		if len(s.out)-at > limit && count > 0 {
			s.out = s.out[:before]
			break
		}
		count++
		h.dir.rest = h.dir.rest[1:]
		// An error comes again at the next READDIR.
		entry, _ = h.dir.peek(s)
	}
	binary.BigEndian.PutUint32(s.out[at+9:], count)
	return s.finish(at)
}

func (s *session) putEntry(entry *Entry, now time.Time) {
	s.putString(entry.Name)
	long := len(s.out)
	s.putUint32(0)
	s.out = s.names.Append(s.out, entry, now)
	binary.BigEndian.PutUint32(s.out[long:], uint32(len(s.out)-long-4))
	s.out = sftpwire.AppendAttr(s.out, entry.Attr)
}
