package sftp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/testwait"
)

func packets(list ...packet) (b []byte) {
	for i, p := range list {
		b = append(b, encode(p, uint32(i+1), nil)...)
	}
	return b
}

// TestFraming breaks it in every way. What went before is answered, and a
// length that was only claimed costs nothing.
func TestFraming(t *testing.T) {
	ask := packets(pkt(fxStat, "x"))
	tests := []struct {
		name  string
		input string
		want  error
	}{
		{"nothing more", "", nil},
		{"length 0", be32(0), sftp.ErrProtocol},
		{"length 4", be32(4) + "abcd", sftp.ErrProtocol},
		{"256 KiB and 1", be32(256<<10 + 1), sftp.ErrProtocol},
		{"4 GiB", be32(0xffffffff), sftp.ErrProtocol},
		{"half a length", "\x00\x00", io.ErrUnexpectedEOF},
		{"half a packet", be32(200<<10) + "abc", io.ErrUnexpectedEOF},
		{"a second INIT", string(initPacket), sftp.ErrProtocol},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := feed(fake{}, sftp.Options{}, append(ask, test.input...))
			if !errors.Is(err, test.want) {
				t.Errorf("ended with %v, expected %v", err, test.want)
			}
			if replies := s.replies(t); len(replies) != 1 || replies[0].kind != fxAttrs {
				t.Errorf("the request before was answered with %v", replies)
			}
		})
	}
	for _, first := range [][]byte{ask, encode(pkt(fxInit, uint32(2)), 0, nil)} {
		s := &stream{Reader: strings.NewReader(string(first))}
		if err := sftp.Serve(context.Background(), s, fake{}, sftp.Options{}); !errors.Is(err, sftp.ErrProtocol) || s.Len() > 0 {
			t.Errorf("%x first: %v, and %d bytes came", first, err, s.Len())
		}
	}
}

// TestBadFields are answered, and the session goes on.
func TestBadFields(t *testing.T) {
	const badMessage, unsupported = 5, 8
	tests := []struct {
		name   string
		packet packet
		want   uint32
	}{
		{"no path", pkt(fxStat), badMessage},
		{"half a length", pkt(fxStat, raw("\x00\x00")), badMessage},
		{"a path beyond the packet", pkt(fxStat, raw(be32(6)+"short")), badMessage},
		{"a path of 4 GiB", pkt(fxStat, raw(be32(0xffffffff)+"short")), badMessage},
		{"a NUL", pkt(fxStat, "a\x00b"), badMessage},
		{"4,096 bytes", pkt(fxStat, strings.Repeat("x", 4096)), badMessage},
		{"a second path of 4,096 bytes", pkt(fxRename, "x", strings.Repeat("x", 4096)), badMessage},
		{"no second path", pkt(fxRename, "x"), badMessage},
		{"no attributes", pkt(fxSetstat, "x"), badMessage},
		{"half attributes", pkt(fxSetstat, "x", raw(be32(15)+"1234")), badMessage},
		{"4 billion extended attributes", pkt(fxSetstat, "x", raw(be32(0x80000000)+be32(0xffffffff))), badMessage},
		{"data beyond the packet", pkt(fxWrite, firstHandle, uint64(0), raw(be32(100)+"x")), badMessage},
		{"type 0", pkt(0), unsupported},
		{"type 2", pkt(2), unsupported},
		{"type 21", pkt(21), unsupported},
		{"type 255", pkt(255), unsupported},
		{"an extension without a name", packet{fxExtended, nil}, badMessage},
		{"an unknown extension", ext("x@example.com"), unsupported},
		{"ids that are no numbers", ext("users-groups-by-id@openssh.com", "12345", ""), badMessage},
		{"1,025 users", ext("users-groups-by-id@openssh.com", strings.Repeat("user", 1025), ""), 4},
		{"1,025 groups", ext("users-groups-by-id@openssh.com", "", strings.Repeat("user", 1025)), 4},
		{"no offset", pkt(fxRead, firstHandle), badMessage},
		{"a handle of 4 GiB", pkt(fxClose, raw(be32(0xfffffff0))), badMessage},
		{"copy-data without a target", ext("copy-data", firstHandle, uint64(0), uint64(0), firstHandle), badMessage},
		{"bytes at the end", pkt(fxMkdir, "x", noAttrs, raw("more")), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := feed(fake{}, sftp.Options{}, packets(pkt(fxOpen, "x", opRead, noAttrs), test.packet, pkt(fxStat, "x")))
			replies := s.replies(t)
			if err != nil || len(replies) != 3 {
				t.Fatalf("%d replies, %v", len(replies), err)
			}
			if got := replies[1].status(); got != test.want {
				t.Errorf("status %d, expected %d", got, test.want)
			}
			if replies[2].kind != fxAttrs || replies[2].id != 3 {
				t.Errorf("then %v", replies[2])
			}
		})
	}
}

// TestStatus looks at codes and texts.
func TestStatus(t *testing.T) {
	tests := []struct {
		err  error
		code uint32
		text string
	}{
		{nil, 0, "Success"},
		{syscall.ENOENT, 2, "No such file"},
		{syscall.ENOTDIR, 2, "No such file"},
		{syscall.EBADF, 2, "No such file"},
		{syscall.ELOOP, 2, "No such file"},
		{syscall.EACCES, 3, "Permission denied"},
		{syscall.EPERM, 3, "Permission denied"},
		{syscall.EINVAL, 5, "Bad message"},
		{syscall.ENAMETOOLONG, 5, "Bad message"},
		{syscall.ENOSYS, 8, "Operation unsupported"},
		{syscall.EEXIST, 4, "Failure"},
		{syscall.ENOTEMPTY, 4, "Directory not empty"},
		{syscall.ENOSPC, 4, "No space left on device"},
		{syscall.EDQUOT, 4, "Disk quota exceeded"},
		{syscall.EROFS, 4, "Read-only file system"},
		{&wrapped{syscall.EDQUOT}, 4, "Disk quota exceeded"},
	}
	for _, test := range tests {
		s, err := feed(fake{err: test.err}, sftp.Options{}, packets(pkt(fxRemove, "x")))
		replies := s.replies(t)
		if err != nil || len(replies) != 1 || replies[0].status() != test.code || replies[0].text() != test.text {
			t.Errorf("%v: %v, %v", test.err, replies, err)
		}
	}
	// A full disk, for real.
	files, err := newLocal(false)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := serving(t, files, sftp.Options{})
	p.ask(pkt(fxOpen, "/dev/full", opWrite, noAttrs))
	kind, body := p.ask(pkt(fxWrite, opened(0), uint64(0), "x"))
	if full := (reply{kind, 0, body}); full.status() != 4 || full.text() != "No space left on device" {
		t.Errorf("a full disk: %q", body)
	}
}

type wrapped struct{ error }

func (w *wrapped) Unwrap() error { return w.error }

// TestPartlyWritten writes over the end of what there is room for.
func TestPartlyWritten(t *testing.T) {
	var events []sftp.Event
	s, err := feed(fake{}, sftp.Options{Audit: func(event sftp.Event) { events = append(events, event) }}, packets(
		pkt(fxOpen, "x", opRead|opWrite, noAttrs),
		pkt(fxWrite, firstHandle, uint64(fakeSize-8192), strings.Repeat("a", 8192)+strings.Repeat("b", 8192)),
		pkt(fxRead, firstHandle, uint64(fakeSize-8192), uint32(20000)), pkt(fxClose, firstHandle)))
	replies := s.replies(t)
	if err != nil || len(replies) != 4 || replies[1].status() != 3 || string(replies[2].body[4:]) != strings.Repeat("a", 8192) {
		t.Errorf("%v, %v", replies, err)
	}
	if len(events) != 1 || events[0].Written != 8192 || events[0].Read != 8192 || events[0].Err != syscall.EPERM {
		t.Errorf("%+v", events)
	}
}

// TestLostFiles: an error that is no errno is answered and ends the session.
func TestLostFiles(t *testing.T) {
	lost := errors.New("the worker is gone")
	for _, request := range []packet{
		pkt(fxRemove, "x"), pkt(fxOpen, "x", opRead, noAttrs), pkt(fxOpendir, "x"), pkt(fxRealpath, "x"),
		ext("statvfs@openssh.com", "x"), ext("home-directory", "x"),
	} {
		s, err := feed(fake{err: lost}, sftp.Options{}, packets(request, pkt(fxRemove, "y")))
		replies := s.replies(t)
		if !errors.Is(err, lost) || len(replies) != 1 || replies[0].status() != 4 || replies[0].text() != "Failure" {
			t.Errorf("%v: %v, %v", request, replies, err)
		}
	}
}

// TestHandles: they are bounded, a closed one is not another, and all are
// closed at the end.
func TestHandles(t *testing.T) {
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	p, ended := serving(t, fake{names: 500, slow: time.Millisecond}, sftp.Options{Handles: 10})
	for i := range 10 {
		request := pkt(fxOpen, "x", opRead, noAttrs)
		if i%2 == 1 {
			request = pkt(fxOpendir, "x")
		}
		if kind, _ := p.ask(request); kind != fxHandle {
			t.Fatal("not opened")
		}
	}
	for _, request := range []packet{pkt(fxOpen, "x", opRead, noAttrs), pkt(fxOpendir, "x")} {
		if kind, body := p.ask(request); (reply{kind, 0, body}).status() != 4 || !strings.Contains(string(body), "Too many open files") {
			t.Errorf("one more: %q", body)
		}
	}
	p.ask(pkt(fxClose, opened(4)))
	if kind, _ := p.ask(pkt(fxOpen, "x", opRead, noAttrs)); kind != fxHandle {
		t.Error("closing made no room")
	}
	if p.handles[4] == p.handles[10] {
		t.Error("the handle came again")
	}
	for _, request := range []packet{
		pkt(fxFstat, opened(4)), pkt(fxFstat, opened(1)), pkt(fxReaddir, opened(0)), pkt(fxFstat, "\xff\xff\xff\xff\x00\x00\x00\x00"),
		pkt(fxFstat, p.handles[0]+"x"), pkt(fxFstat, ""),
	} {
		if kind, body := p.ask(request); (reply{kind, 0, body}).status() != 4 {
			t.Errorf("%v: type %d %q", request, kind, body)
		}
	}
	p.in.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	testwait.Until(t, fmt.Sprintf("%d descriptors and %d goroutines, as before", before, goroutines), func() bool {
		return descriptors(t) <= before && runtime.NumGoroutine() <= goroutines
	})
}

// TestWaitingHoldsLittle has many sessions write and read a large packet and
// then wait.
func TestWaitingHoldsLittle(t *testing.T) {
	const sessions, allowed = 200, 16 << 10
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	var peers []*peer
	data := strings.Repeat("x", fakeSize)
	for range sessions {
		p, _ := serving(t, fake{}, sftp.Options{})
		p.ask(pkt(fxOpen, "x", opRead|opWrite, noAttrs))
		if kind, body := p.ask(pkt(fxWrite, opened(0), uint64(0), data)); (reply{kind, 0, body}).status() != 0 {
			t.Fatalf("%q", body)
		}
		if _, body := p.ask(pkt(fxRead, opened(0), uint64(0), uint32(fakeSize))); len(body) != 4+fakeSize {
			t.Fatal("not read")
		}
		peers = append(peers, p)
	}
	if each := (heap() - before) / sessions; each > allowed {
		t.Errorf("%d bytes for each waiting session, expected at most %d", each, allowed)
	}
	runtime.KeepAlive(peers)
}

// TestClaimedLength: bytes are held for those that came and not for those that
// were announced.
func TestClaimedLength(t *testing.T) {
	input := packets(ext("users-groups-by-id@openssh.com", raw(be32(0x3fffffff)), raw(be32(0x3fffffff))),
		pkt(fxWrite, "12345678", uint64(0), raw(be32(0x7fffffff))))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		if _, err := feed(fake{}, sftp.Options{}, input); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / 100; got > 1<<20 {
		t.Errorf("%d bytes for each session", got)
	}
	if n := binary.BigEndian.Uint32(input); n > 1000 {
		t.Fatal("the packet is not small")
	}
}
