package fronts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/testwait"
)

const patience = 2 * time.Minute

// testServer answers with what it is sent, until it is sent nothing more.
type testServer struct {
	path      string
	acceptors *Acceptors
	pause     func() // if a test drives it
	mu        sync.Mutex
	reports   []string
	fds       []int // of the connections
}

func echo(conn *Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	buffer := make([]byte, 64)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func newTestServer(t *testing.T, answer func(*Conn)) *testServer {
	t.Helper()
	d := &testServer{path: filepath.Join(t.TempDir(), "run", "sock")}
	d.listen(t, answer)
	return d
}

func (d *testServer) listen(t *testing.T, answer func(*Conn)) {
	t.Helper()
	socket, err := ListenAt(d.path)
	if err != nil {
		t.Fatal(err)
	}
	d.open(t, socket, answer)
}

func (d *testServer) open(t *testing.T, socket *Socket, answer func(*Conn)) {
	t.Helper()
	var err error
	admit := func(conn *Conn) func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fds = append(d.fds, conn.fd)
		return func() { answer(conn) }
	}
	report := func(reason string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.reports = append(d.reports, reason)
	}
	if d.pause != nil {
		d.acceptors, err = accept(socket, admit, report, d.pause)
	} else {
		d.acceptors, err = Accept(socket, admit, report)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Nothing of it is still being closed while the next test counts.
	t.Cleanup(func() {
		if err := d.acceptors.Drain(patience); err != nil {
			t.Error(err)
		}
	})
}

// polled waits until so many connections have come and Go's poller has them all:
// from then on none of them keeps a thread.
func (d *testServer) polled(t *testing.T, connections int) {
	t.Helper()
	keeps := func(fd int) bool {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		return err == nil && flags&unix.O_NONBLOCK == 0
	}
	testwait.Until(t, fmt.Sprintf("%d connections that keep no thread", connections), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.fds) >= connections && !slices.ContainsFunc(d.fds, keeps)
	})
}

// entries counts what this process has of a kind: "task" of threads, "fd" of open
// files.
func entries(t *testing.T, kind string) int {
	t.Helper()
	found, err := os.ReadDir("/proc/self/" + kind)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := inLine(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	answer := make([]byte, len(text))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != text {
		t.Fatalf("answer %q, %v", answer, err)
	}
}

// A front is answered whether it is alone or not, talks at once or after a
// while, or many come at the same time.
func TestAnswers(t *testing.T) {
	d := newTestServer(t, echo)
	first := dial(t, d.path)
	say(t, first, "at once")
	second := dial(t, d.path)
	say(t, second, "beside it")
	d.polled(t, 2)
	say(t, first, "after a while")
	say(t, second, "the same")
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			conn, err := inLine(d.path)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			answer := make([]byte, 3)
			_, _ = io.WriteString(conn, "abc")
			if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "abc" {
				t.Errorf("%q, %v", answer, err)
			}
		})
	}
	all.Wait()
}

// Those who stall keep no thread, and nobody waits for them.
func TestStalledKeepNoThread(t *testing.T) {
	const stall = 600
	d := newTestServer(t, echo)
	before := entries(t, "task")
	for range stall {
		dial(t, d.path)
	}
	last := dial(t, d.path)
	say(t, last, "still here")
	d.polled(t, stall+1)
	say(t, last, "and later")
	// The runtime keeps threads that it has needed for a moment: on a busy machine some
	// for those that have just come.
	if after := entries(t, "task"); after > before+stall/3 {
		t.Errorf("%d threads, then %d with %d that stall", before, after, stall)
	}
}

// The deadline ends a wait, also of one who sends byte after byte, whether the
// connection is Go's poller's yet or not.
func TestDeadline(t *testing.T) {
	const short = 100 * time.Millisecond
	ended := make(chan error)
	untilShort := func(conn *Conn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(short))
		_, err := io.Copy(io.Discard, struct{ io.Reader }{conn})
		ended <- err
	}
	untilPolled := func(conn *Conn) {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		untilShort(conn)
	}
	silent := func(*testServer, net.Conn) {}
	sends := func(_ *testServer, conn net.Conn) {
		for err := error(nil); err == nil; {
			_, err = conn.Write([]byte{0})
		}
	}
	sendsOncePolled := func(d *testServer, conn net.Conn) {
		d.polled(t, 1)
		sends(d, conn)
	}
	for name, test := range map[string]struct {
		answer func(*Conn)
		client func(*testServer, net.Conn)
	}{
		"silent": {untilShort, silent}, "byte after byte": {untilShort, sends}, "byte after byte at the poller": {untilPolled, sendsOncePolled},
	} {
		d := newTestServer(t, test.answer)
		conn := dial(t, d.path)
		var client sync.WaitGroup
		client.Go(func() { test.client(d, conn) })
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		client.Wait()
	}
	// Without one, nothing is read.
	if _, err := (&Conn{}).Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// What does not fit the socket's buffer arrives whole, or fails at the deadline.
func TestWriteToASlowReader(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789"), 200_000)
	failed := make(chan error, 1)
	var most atomic.Int64
	most.Store(int64(patience))
	var held sync.Mutex
	d := newTestServer(t, func(conn *Conn) {
		defer conn.Close()
		held.Lock()
		defer held.Unlock()
		_ = conn.SetDeadline(time.Now().Add(time.Duration(most.Load())))
		n, err := conn.Write(text)
		if err == nil && n != len(text) {
			err = io.ErrShortWrite
		}
		failed <- err
	})
	reader := dial(t, d.path)
	d.polled(t, 1) // as what it has to write does not fit
	if got, err := io.ReadAll(reader); !bytes.Equal(got, text) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
	most.Store(int64(200 * time.Millisecond))
	dial(t, d.path) // reads nothing
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	most.Store(int64(patience))
	held.Lock() // who goes with something unread is told of in other words
	gone := dial(t, d.path)
	_ = gone.Close()
	held.Unlock()
	if err := <-failed; !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v", err)
	}
}

// A socket that is systemd's stays: who comes while nobody listens is taken by
// the next.
func TestQueueOutlivesAcceptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	theirs, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	for range 3 {
		conn := dial(t, path)
		file, err := theirs.(*net.UnixListener).File()
		if err != nil {
			t.Fatal(err)
		}
		socket, err := takeOver(file)
		if err != nil {
			t.Fatal(err)
		}
		d := &testServer{path: path}
		d.open(t, socket, echo)
		say(t, conn, "hello")
		_ = conn.Close()
		if err := d.acceptors.Drain(patience); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

// The kernel's word on who is there holds as long as the connection is open.
func TestCredentials(t *testing.T) {
	seen := make(chan *unix.Ucred, 2)
	d := newTestServer(t, func(conn *Conn) {
		peer, err := conn.Credentials()
		if err != nil {
			t.Error(err)
		}
		seen <- peer
		_ = conn.Close()
		if _, err := conn.Credentials(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after the close: %v", err)
		}
		if err := conn.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a second close: %v", err)
		}
	})
	dial(t, d.path)
	if peer := <-seen; int(peer.Uid) != os.Geteuid() || int(peer.Pid) != os.Getpid() {
		t.Errorf("%+v", peer)
	}
}

// Only a unix stream socket that listens is taken from systemd.
func TestTakeOverRefuses(t *testing.T) {
	for name, kind := range map[string][2]int{
		"tcp": {unix.AF_INET, unix.SOCK_STREAM}, "datagram": {unix.AF_UNIX, unix.SOCK_DGRAM}, "not listening": {unix.AF_UNIX, unix.SOCK_STREAM},
	} {
		fd, err := unix.Socket(kind[0], kind[1]|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		before := entries(t, "fd")
		if _, err := takeOver(os.NewFile(uintptr(fd), name)); err == nil || !strings.Contains(err.Error(), "expected a unix stream socket that listens") {
			t.Errorf("%s: %v", name, err)
		}
		if entries(t, "fd") != before-1 {
			t.Errorf("%s: it stays open", name)
		}
	}
}
