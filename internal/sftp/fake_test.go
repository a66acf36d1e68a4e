package sftp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
)

// fake is Files without files: every path is a file of 64 KiB in memory that
// cannot grow, and a directory of many names.
type fake struct {
	err     error         // of all but Names
	names   int           // in a directory, by pages of 100
	pageErr error         // after the last page; io.EOF if nil
	slow    time.Duration // of each page
	last    bool          // the end comes with the last page
	asked   *[]string
	mu      *sync.Mutex
}

const fakeSize = 64 << 10

func (f fake) note(op string) {
	if f.asked != nil {
		f.mu.Lock()
		*f.asked = append(*f.asked, op)
		f.mu.Unlock()
	}
}

func (f fake) Open(path string, flags int, mode uint32) (sftp.File, string, error) {
	f.note("open")
	if f.err != nil {
		return nil, "", f.err
	}
	fd, err := unix.MemfdCreate("fake", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, "", err
	}
	if err := unix.Ftruncate(fd, fakeSize); err != nil {
		return nil, "", err
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW)
	return sftp.Descriptor(fd), "/real" + path, err
}

func (f fake) OpenDir(string) (sftp.Dir, error) {
	end := f.pageErr
	if end == nil {
		end = io.EOF
	}
	return &fakeDir{left: f.names, end: end, slow: f.slow, last: f.last}, f.err
}

func (f fake) Stat(string, bool) (sftp.Attr, error) {
	return sftp.Attr{Mode: unix.S_IFREG | 0o644}, f.err
}
func (f fake) SetStat(string, sftp.Change, bool) error { return f.err }
func (f fake) FSetStat(sftp.File, sftp.Change) error   { return f.err }
func (f fake) Mkdir(string, uint32) error              { return f.err }
func (f fake) Rmdir(string) error                      { return f.err }
func (f fake) Remove(string) error                     { return f.err }
func (f fake) Rename(_, _ string, _ bool) error        { return f.err }
func (f fake) Link(_, _ string) error                  { return f.err }
func (f fake) Symlink(_, _ string) error               { return f.err }
func (f fake) Readlink(string) (string, error)         { return "target", f.err }
func (f fake) RealPath(path string) (string, error)    { return "/" + path, f.err }
func (f fake) StatVFS(string) (sftp.StatVFS, error)    { return sftp.StatVFS{}, f.err }
func (f fake) Home(string) (string, error)             { return "/home", f.err }

func (f fake) Names(uids, gids []uint32) (users, groups []string, err error) {
	f.note("names")
	return slices.Repeat([]string{"somebody"}, len(uids)), slices.Repeat([]string{"some"}, len(gids)), nil
}

// fakeDir panics when it is used otherwise than sftp.Dir says.
type fakeDir struct {
	left    int
	end     error
	slow    time.Duration
	reading atomic.Bool
	last    bool // the end comes with the last entries
	over    bool // Next gave an error, or Close was called
}

func (d *fakeDir) Next() ([]sftp.Entry, error) {
	if d.over || d.reading.Swap(true) {
		panic("Next after the end, or twice at once")
	}
	defer d.reading.Store(false)
	time.Sleep(d.slow)
	var entries []sftp.Entry
	for ; d.left > 0 && len(entries) < 100; d.left-- {
		entries = append(entries, sftp.Entry{Name: "name-" + string(rune('A'+d.left%26)), Attr: sftp.Attr{UID: uint32(d.left % 7)}})
	}
	if len(entries) == 0 || d.last && d.left == 0 {
		d.over = true
		return entries, d.end
	}
	return entries, nil
}

func (d *fakeDir) Close() error {
	if d.reading.Load() {
		panic("Close during Next")
	}
	d.over = true
	return nil
}

// stream is a channel whose requests are all there and whose replies are kept.
type stream struct {
	io.Reader
	bytes.Buffer
	writes int
}

func (s *stream) Read(b []byte) (int, error) { return s.Reader.Read(b) }
func (s *stream) Write(b []byte) (int, error) {
	s.writes++
	return s.Buffer.Write(b)
}

// firstHandle is what the first OPEN gives, with its length.
const firstHandle = raw("\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00")

var initPacket = encode(pkt(fxInit, uint32(3)), 0, nil)

// feed serves what is in input after INIT.
func feed(files sftp.Files, options sftp.Options, input []byte) (*stream, error) {
	s := &stream{Reader: io.MultiReader(bytes.NewReader(initPacket), bytes.NewReader(input))}
	return s, sftp.Serve(context.Background(), s, files, options)
}

// reply is one packet that the server sent.
type reply struct {
	kind byte
	id   uint32
	body []byte
}

func (r reply) status() uint32 {
	if r.kind != fxStatus {
		return 1000
	}
	return binary.BigEndian.Uint32(r.body)
}

func (r reply) text() string {
	n := binary.BigEndian.Uint32(r.body[4:])
	return string(r.body[8 : 8+n])
}

// replies are those after VERSION.
func (s *stream) replies(t testing.TB) (all []reply) {
	t.Helper()
	for first := true; s.Len() > 0; first = false {
		kind, id, body, err := readReply(&s.Buffer)
		if err != nil {
			t.Fatalf("the replies break off: %v", err)
		}
		if !first {
			all = append(all, reply{kind, id, body})
		}
	}
	return all
}

// serving is a peer of a server in this process.
func serving(t testing.TB, files sftp.Files, options sftp.Options) (p *peer, ended chan error) {
	t.Helper()
	here, there := net.Pipe()
	ended = make(chan error, 1)
	go func() {
		ended <- sftp.Serve(context.Background(), there, files, options)
		there.Close()
		close(ended)
	}()
	t.Cleanup(func() {
		here.Close()
		for range ended {
		}
	})
	p = &peer{t: t, in: here, out: here, id: 100}
	p.write(initPacket)
	if kind, _, _, err := readReply(p.out); err != nil || kind != 2 {
		t.Fatalf("type %d, %v", kind, err)
	}
	return p, ended
}

// descriptors is how many this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
