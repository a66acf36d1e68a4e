package sftp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/sftp"
)

// TestGathered: many requests that came together are answered in their order
// and in few writes.
func TestGathered(t *testing.T) {
	var list []packet
	for i := range 1000 {
		list = append(list, pkt(fxStat, fmt.Sprint(i)))
	}
	s, err := feed(fake{}, sftp.Options{}, packets(list...))
	if err != nil {
		t.Fatal(err)
	}
	if s.writes > 40 {
		t.Errorf("%d writes for 1,000 replies", s.writes)
	}
	replies := s.replies(t)
	if len(replies) != 1000 {
		t.Fatalf("%d replies", len(replies))
	}
	for i, reply := range replies {
		if reply.id != uint32(i+1) {
			t.Fatalf("reply %d has id %d", i+1, reply.id)
		}
	}
}

// TestByteByByte gives the engine a packet's bytes one after the other.
func TestByteByByte(t *testing.T) {
	input := append(bytes.Clone(initPacket), packets(pkt(fxOpen, "x", opRead|opWrite, noAttrs),
		pkt(fxWrite, firstHandle, uint64(5), strings.Repeat("y", 50000)),
		pkt(fxRead, firstHandle, uint64(50000), uint32(10)))...)
	s := &stream{Reader: &oneByOne{input}}
	if err := sftp.Serve(context.Background(), s, fake{}, sftp.Options{}); err != nil {
		t.Fatal(err)
	}
	replies := s.replies(t)
	if len(replies) != 3 || replies[1].status() != 0 || string(replies[2].body[4:]) != "yyyyy\x00\x00\x00\x00\x00" {
		t.Errorf("%v", replies)
	}
}

type oneByOne struct{ left []byte }

func (o *oneByOne) Read(b []byte) (int, error) {
	if len(o.left) == 0 {
		return 0, io.EOF
	}
	b[0] = o.left[0]
	o.left = o.left[1:]
	return 1, nil
}

// TestAudit looks at the events of a session.
func TestAudit(t *testing.T) {
	dir := tempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	files, err := newLocal(false)
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	p, ended := serving(t, files, sftp.Options{Audit: func(event sftp.Event) {
		events = append(events, strings.ReplaceAll(fmt.Sprintf("%s %s %s %d %d %v", event.Op, event.Path, event.Target, event.Read, event.Written, event.Err), dir, ""))
	}})
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, request := range []packet{
		pkt(fxOpen, in("link"), opRead, noAttrs), pkt(fxRead, opened(0), zero64, uint32(4)), pkt(fxRead, opened(0), uint64(4), uint32(400)),
		pkt(fxRead, opened(0), uint64(40), uint32(4)), pkt(fxClose, opened(0)),
		pkt(fxOpen, in("missing"), opRead, noAttrs), pkt(fxOpendir, in("a")),
		pkt(fxOpen, "/dev/full", opWrite, noAttrs), pkt(fxWrite, opened(1), zero64, "x"), pkt(fxClose, opened(1)),
		pkt(fxMkdir, in("d"), noAttrs), pkt(fxRmdir, in("d")), pkt(fxRename, in("a"), in("b")), pkt(fxRename, in("a"), in("b")),
		ext("posix-rename@openssh.com", in("b"), in("c")), ext("hardlink@openssh.com", in("c"), in("b")), pkt(fxSym, "to", in("s")),
		pkt(fxSetstat, in("b"), withMode(0o600)), ext("lsetstat@openssh.com", in("s"), withTimes(1, 2)),
		pkt(fxOpen, in("new"), opWrite|opCreate, noAttrs), pkt(fxWrite, opened(2), zero64, "four"), pkt(fxFsetstat, opened(2), withMode(0o600)),
		pkt(fxOpen, in("b"), opRead, noAttrs), ext("copy-data", opened(3), zero64, zero64, opened(2), zero64),
		pkt(fxRemove, in("b")), pkt(fxStat, in("c")), pkt(fxClose, opened(2)),
	} {
		p.ask(request)
	}
	p.in.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	want := `transfer /a  10 0 <nil>
open /missing  0 0 no such file or directory
open /a  0 0 not a directory
transfer /dev/full  0 0 no space left on device
mkdir /d  0 0 <nil>
rmdir /d  0 0 <nil>
rename /a /b 0 0 <nil>
rename /a /b 0 0 no such file or directory
rename /b /c 0 0 <nil>
link /c /b 0 0 <nil>
symlink to /s 0 0 <nil>
setstat /b  0 0 <nil>
setstat /s  0 0 <nil>
setstat /new  0 0 <nil>
copy /b /new 0 0 <nil>
remove /b  0 0 <nil>
transfer /new  0 4 <nil>
transfer /b  0 0 the session ended before the file was closed`
	if got := strings.Join(events, "\n"); got != want {
		t.Errorf("got\n%s\nexpected\n%s", got, want)
	}
}

// TestLimit: it is asked for file data alone, replies do not wait for it, and
// its error ends the session.
func TestLimit(t *testing.T) {
	stop := errors.New("stop")
	var asked []string
	options := sftp.Options{Limit: func(_ context.Context, n int, upload bool) error {
		asked = append(asked, fmt.Sprint(n, " ", upload))
		if len(asked) == 4 {
			return stop
		}
		return nil
	}}
	s, err := feed(fake{}, options, packets(
		pkt(fxOpen, "x", opRead|opWrite, noAttrs), pkt(fxStat, "x"),
		pkt(fxWrite, firstHandle, zero64, "abcdef"), pkt(fxRead, firstHandle, uint64(1), uint32(3)),
		pkt(fxRead, firstHandle, uint64(fakeSize), uint32(3)), pkt(fxRead, firstHandle, uint64(fakeSize-2), uint32(3)),
		pkt(fxRead, firstHandle, zero64, uint32(9)), pkt(fxStat, "x")))
	if !errors.Is(err, stop) {
		t.Errorf("ended with %v", err)
	}
	if got := strings.Join(asked, ", "); got != "6 true, 3 false, 2 false, 9 false" {
		t.Errorf("asked for %s", got)
	}
	replies := s.replies(t)
	if len(replies) != 7 || string(replies[3].body[4:]) != "bcd" || replies[4].status() != 1 || len(replies[5].body) != 4+2 || replies[6].status() != 4 {
		t.Errorf("%v", replies)
	}
	if s.writes < 5 {
		t.Errorf("%d writes: replies waited for the limit", s.writes)
	}
}

// TestBusy sees a session wait and work.
func TestBusy(t *testing.T) {
	var mu sync.Mutex
	var states []string
	p, ended := serving(t, fake{}, sftp.Options{Busy: func(busy bool, open int) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, fmt.Sprint(busy, open))
	}})
	p.ask(pkt(fxOpen, "x", opRead, noAttrs))
	p.ask(pkt(fxOpendir, "x"))
	p.ask(pkt(fxClose, opened(0)))
	p.in.Close()
	<-ended
	if got := strings.Join(states, " "); got != "false 0 true 0 false 0 true 0 false 1 true 1 false 1 true 1 false 0" {
		t.Error(got)
	}
}

// TestDirectoryReplies: their size is bounded by what the client takes, each
// name comes once, names of users are asked for once, and an error is told
// after what came before it.
func TestDirectoryReplies(t *testing.T) {
	var asked []string
	var mu sync.Mutex
	for _, test := range []struct {
		name    string
		last    bool
		limits  bool
		options sftp.Options
		largest int
	}{
		{"usual", false, false, sftp.Options{}, 32 << 10},
		{"limits", true, true, sftp.Options{}, 200 << 10},
		{"known", false, false, sftp.Options{LargeReplies: true}, 200 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked = nil
			p, _ := serving(t, fake{names: 20000, last: test.last, pageErr: syscall.EIO, asked: &asked, mu: &mu}, test.options)
			if test.limits {
				p.ask(ext("limits@openssh.com"))
			}
			p.ask(pkt(fxOpendir, "x"))
			got, largest := 0, 0
			for {
				kind, body := p.ask(pkt(fxReaddir, opened(0)))
				if kind == fxStatus {
					if end := (reply{kind, 0, body}); end.status() != 4 || end.text() != "Input/output error" {
						t.Errorf("ended with %q", body)
					}
					break
				}
				largest = max(largest, len(body))
				got += int(binary.BigEndian.Uint32(body))
			}
			if got != 20000 || largest > test.largest || largest < test.largest*9/10 {
				t.Errorf("%d names, the largest reply %d bytes, expected about %d", got, largest, test.largest)
			}
			if names := strings.Join(asked, " "); names != "names" {
				t.Errorf("asked %q", names)
			}
		})
	}
}

// TestUnwritable: a peer that takes no replies ends the session.
func TestUnwritable(t *testing.T) {
	broken := errors.New("broken")
	s := struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(append(bytes.Clone(initPacket), packets(pkt(fxStat, "x"))...)), failing{broken}}
	if err := sftp.Serve(context.Background(), s, fake{}, sftp.Options{}); !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
