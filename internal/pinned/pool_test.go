package pinned

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testwait"
)

func TestPool(t *testing.T) {
	pool := &Pool{Most: 2, Idle: time.Hour}
	var ends []net.Conn
	var kept []net.Conn
	for range 3 {
		here, there := net.Pipe()
		ends, kept = append(ends, there), append(kept, here)
		pool.Put(here)
	}
	closed := func(end net.Conn) bool {
		_, err := end.Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	}
	if !closed(ends[2]) {
		t.Error("one too many was kept")
	}
	if pool.Take() != kept[1] || pool.Take() != kept[0] || pool.Take() != nil {
		t.Error("expected the last one first")
	}
	pool.Put(kept[0])
	pool.Close()
	pool.Put(kept[1])
	if !closed(ends[0]) || !closed(ends[1]) || pool.Take() != nil {
		t.Error("one was kept after the end")
	}
	short := &Pool{Most: 1, Idle: time.Nanosecond}
	here, there := net.Pipe()
	short.Put(here)
	if !closed(there) {
		t.Error("one was kept for longer than it may be")
	}
	var none Pool
	here, there = net.Pipe()
	none.Put(here)
	if !closed(there) {
		t.Error("the zero pool keeps one")
	}
}

// watched is a pool that tells which connections have ended, and how another one is
// made: here and at the other machine.
func watched(t *testing.T) (pool *Pool, another func() (here, there *tls.Conn)) {
	t.Helper()
	a, b := newTestKey(t), newTestKey(t)
	return &Pool{Most: 4, Watch: true}, func() (*tls.Conn, *tls.Conn) {
		client, server := pair(t)
		here, there := Server(server, a, only(b)), Client(client, b, only(a))
		done := make(chan error, 1)
		go func() { done <- here.Handshake() }()
		if err := errors.Join(there.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		return here, there
	}
}

// A connection that is watched is as it was when it is taken, however often.
func TestPoolWatches(t *testing.T) {
	pool, another := watched(t)
	here, there := another()
	for range 3 {
		pool.Put(here)
		if pool.Take() != here {
			t.Fatal("it is not given")
		}
		if _, err := there.Write([]byte("to")); err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 2)
		if _, err := io.ReadFull(here, text); err != nil || string(text) != "to" {
			t.Fatalf("%q, %v", text, err)
		}
		if _, err := here.Write([]byte("fro")); err != nil {
			t.Fatal(err)
		}
		text = make([]byte, 3)
		if _, err := io.ReadFull(there, text); err != nil || string(text) != "fro" {
			t.Fatalf("%q, %v", text, err)
		}
	}
	// One that ends is dropped, and so is one on which something comes.
	pool.Put(here)
	other, elsewhere := another()
	pool.Put(other)
	there.NetConn().Close()
	if _, err := elsewhere.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "both are dropped", func() bool { return pool.Len() == 0 })
	if conn := pool.Take(); conn != nil {
		t.Errorf("%v is given", conn)
	}
}

// One too many of those that are watched takes the place of the oldest.
func TestPoolKeepsTheLast(t *testing.T) {
	pool, another := watched(t)
	pool.Most = 2
	var oldest *tls.Conn
	var kept []net.Conn
	for n := range 3 {
		here, there := another()
		if n == 0 {
			oldest = there
		}
		kept = append(kept, here)
		pool.Put(here)
	}
	if n, err := oldest.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the oldest goes on: %d, %v", n, err)
	}
	if pool.Take() != kept[2] || pool.Take() != kept[1] || pool.Take() != nil {
		t.Error("expected the last one first")
	}
}

// Of those that have ended none is given, whoever notices first.
func TestPoolGivesNoneThatHasEnded(t *testing.T) {
	pool, another := watched(t)
	for range 20 {
		here, there := another()
		pool.Put(here)
		there.NetConn().Close()
		if conn := pool.Take(); conn != nil {
			// Its end had not come yet.
			if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("read %d bytes, %v", n, err)
			}
		}
		if n := pool.Len(); n != 0 {
			t.Errorf("%d are left", n)
		}
	}
}

func TestPoolWaits(t *testing.T) {
	pool, another := watched(t)
	given := make(chan net.Conn, 3)
	for range 3 {
		go func() { given <- pool.Wait(t.Context(), false) }()
	}
	seen := map[net.Conn]bool{}
	for range 3 {
		here, _ := another()
		pool.Put(here)
		seen[here] = true
	}
	for range 3 {
		conn := <-given
		if !seen[conn] {
			t.Errorf("%v is given, or given twice", conn)
		}
		delete(seen, conn)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { given <- pool.Wait(ctx, false) }()
	cancel()
	if conn := <-given; conn != nil {
		t.Errorf("%v is given after the end of the wait", conn)
	}
	go func() { given <- pool.Wait(t.Context(), false) }()
	pool.Close()
	if conn := <-given; conn != nil {
		t.Errorf("%v is given after the end of the pool", conn)
	}
}
