package etcdtest

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
)

// Proxy stands before a member. It passes on what it gets, and can cut the answers
// off at a chosen byte: the question has been put then, and who put it never learns
// what became of it.
type Proxy struct {
	// URL is where clients reach it.
	URL string

	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	// left is how many bytes of answers are still passed on; limited says whether
	// that counts at all.
	left    int
	limited bool
	// cut is how many connections were cut.
	cut int
	// passed is how many bytes of answers have been passed on.
	passed int
	closed bool
}

// NewProxy starts a proxy before member.
func NewProxy(t testing.TB, member *Member) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", host()+":0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "https://" + listener.Addr().String(), listener: listener, target: strings.TrimPrefix(member.URL, "https://"), conns: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		p.drop()
		p.wg.Wait()
	})
	return p
}

// CutAfter has the answers end after that many bytes more, on whichever connection.
// From then on everything passes again, on new connections.
func (p *Proxy) CutAfter(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.limited = bytes, true
}

// Cuts is how often answers were cut off, and Passed how many bytes of them were
// passed on.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}

// Passed is how many bytes of answers have been passed on.
func (p *Proxy) Passed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		member, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, member) {
			return
		}
		p.wg.Go(func() { p.pass(member, client, func(n int) int { return n }) })
		p.wg.Go(func() { p.pass(client, member, p.allow) })
	}
}

// keep remembers what drop is to close.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.conns[conn] = true
		if p.closed {
			_ = conn.Close()
		}
	}
	return !p.closed
}

func (p *Proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// allow says how many of n bytes may pass.
func (p *Proxy) allow(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.limited || p.left >= n {
		p.left -= n
		p.passed += n
		return n
	}
	n = p.left
	p.limited = false
	p.cut++
	return n
}

var errCut = errors.New("cut")

func (p *Proxy) pass(to, from net.Conn, allow func(n int) int) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if allowed := allow(n); allowed < n {
			n, err = allowed, errCut
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			_ = to.Close()
			_ = from.Close()
			return
		}
	}
}
