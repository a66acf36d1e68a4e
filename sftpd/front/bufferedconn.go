package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bufferedConn is a client's connection as golang.org/x/crypto/ssh should have it: that
// package reads and writes 4 KiB at a time, which costs a system call each.
// Reads come out of a large buffer, lent only while there is something in it;
// writes are held back while more is sure to follow.
type bufferedConn struct {
	net.Conn
	raw syscall.RawConn

	in          *[readSize]byte // nil while empty
	start       int
	end         int
	replay      []byte        // what chooseCiphers has read ahead
	alreadySent int           // bytes of the next writes that were sent already
	quickAck    atomic.Bool   // acknowledge at once
	received    atomic.Uint64 // reads that brought something

	mu     sync.Mutex
	out    []byte
	outBuf *[writeSize]byte
	corked int // how many have corked it
	timer  *time.Timer
	err    error
}

const (
	readSize  = 128 << 10
	writeSize = 128 << 10
	// sshBuffer is the size of x/crypto/ssh's buffer. A write of just that size
	// is the front part of a packet. If it ever is not, the timer sends it.
	sshBuffer = 4096
	holdFor   = time.Millisecond
)

var (
	readBuffers  = sync.Pool{New: func() any { return new([readSize]byte) }}
	writeBuffers = sync.Pool{New: func() any { return new([writeSize]byte) }}
)

func newBufferedConn(c net.Conn) (*bufferedConn, error) {
	file, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("not a connection of the system")
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	made := &bufferedConn{Conn: c, raw: raw}
	made.quickAck.Store(true)
	return made, nil
}

// Read implements net.Conn. One goroutine reads.
func (c *bufferedConn) Read(p []byte) (int, error) {
	if len(c.replay) > 0 {
		n := copy(p, c.replay)
		if c.replay = c.replay[n:]; len(c.replay) == 0 {
			c.replay = nil
		}
		return n, nil
	}
	if c.in == nil {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in[c.start:c.end])
	if c.start += n; c.start == c.end {
		readBuffers.Put(c.in)
		c.in = nil
	}
	return n, nil
}

// fill waits without a buffer, so that idle connections have none.
func (c *bufferedConn) fill() error {
	var n int
	var failed error
	err := c.raw.Read(func(fd uintptr) bool {
		lent := readBuffers.Get().(*[readSize]byte)
		for {
			n, failed = unix.Read(int(fd), lent[:])
			if failed != unix.EINTR {
				break
			}
		}
		if c.quickAck.Load() {
			// OpenSSH's client has Nagle's algorithm on until its session is up:
			// each delayed acknowledgement would cost the login 40 ms.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		}
		if failed != nil || n == 0 {
			readBuffers.Put(lent)
			return failed != unix.EAGAIN
		}
		c.received.Add(1)
		c.in, c.start, c.end = lent, 0, n
		return true
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case n == 0:
		return io.EOF
	}
	return nil
}

// Write implements net.Conn.
func (c *bufferedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := len(p)
	if c.alreadySent > 0 {
		n := min(c.alreadySent, len(p))
		c.alreadySent -= n
		if p = p[n:]; len(p) == 0 {
			return all, nil
		}
	}
	for c.err == nil && len(p) > 0 {
		if c.outBuf == nil {
			c.outBuf = writeBuffers.Get().(*[writeSize]byte)
			c.out = c.outBuf[:0]
		}
		n := min(len(p), writeSize-len(c.out))
		c.out = append(c.out, p[:n]...)
		p = p[n:]
		if len(c.out) == writeSize {
			c.flush()
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	if len(c.out) == 0 {
		return all, nil
	}
	if c.corked > 0 || all == sshBuffer {
		c.hold()
		return all, nil
	}
	c.flush()
	return all, c.err
}

// hold must be called with the lock.
func (c *bufferedConn) hold() {
	if c.timer == nil {
		c.timer = time.AfterFunc(holdFor, c.late)
		return
	}
	c.timer.Reset(holdFor)
}

// late sends what was held back for too long: the client's window may be full
// of what it has not got yet.
func (c *bufferedConn) late() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
}

// flush must be called with the lock.
func (c *bufferedConn) flush() {
	if len(c.out) > 0 && c.err == nil {
		_, c.err = c.Conn.Write(c.out)
	}
	c.out = c.out[:0]
	if c.outBuf != nil && c.corked == 0 {
		writeBuffers.Put(c.outBuf)
		c.outBuf, c.out = nil, nil
	}
}

// cork holds writes back until uncork: a large reply is several packets.
func (c *bufferedConn) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked++
}

func (c *bufferedConn) uncork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.corked--; c.corked == 0 {
		c.flush()
	}
}

// Close implements net.Conn.
func (c *bufferedConn) Close() error {
	// A client that takes nothing has a write wait, with the lock.
	_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	c.mu.Lock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.flush()
	c.mu.Unlock()
	return c.Conn.Close()
}
