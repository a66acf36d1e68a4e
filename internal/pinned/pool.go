package pinned

import (
	"net"
	"sync"
	"time"
)

// Pool keeps connections to one machine that wait for their next use. The zero
// value keeps none.
type Pool struct {
	// Most is how many wait at once, and Idle for how long.
	Most int
	Idle time.Duration

	mu      sync.Mutex
	waiting []*waiting
	closed  bool
}

type waiting struct {
	conn net.Conn
	end  *time.Timer
}

// Put keeps a connection of which nothing is to be read, or closes it.
func (p *Pool) Put(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.waiting) >= p.Most {
		go conn.Close()
		return
	}
	w := &waiting{conn: conn}
	w.end = time.AfterFunc(p.Idle, func() { p.drop(w) })
	p.waiting = append(p.waiting, w)
}

func (p *Pool) drop(old *waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.waiting {
		if w == old {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			go w.conn.Close()
			return
		}
	}
}

// Take gives the connection that was used last, or nil. The other side may have
// gone meanwhile, which the first read tells.
func (p *Pool) Take() net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.waiting) - 1
	if last < 0 {
		return nil
	}
	w := p.waiting[last]
	p.waiting = p.waiting[:last]
	w.end.Stop()
	return w.conn
}

// Close closes those that wait, and those that are put back later.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.waiting {
		w.end.Stop()
		go w.conn.Close()
	}
	p.waiting = nil
}
