package pinned

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Pool keeps connections to one machine that wait for their next use. The zero
// value keeps none.
type Pool struct {
	// Most is how many wait at once, and Idle for how long; 0 is for as long as the
	// other side keeps them.
	Most int
	Idle time.Duration
	// Watch has those dropped that end while they wait. It is for a machine that
	// cannot make another one, and so has to know how many there are.
	Watch bool

	mu      sync.Mutex
	waiting []*waiting
	// news is closed when one is put, and when nobody waits any more who goes first.
	news   chan struct{}
	first  int // those who wait and go first
	closed bool
}

type waiting struct {
	conn net.Conn
	end  *time.Timer // nil if it waits for as long as it lasts
	// looked is closed when nobody reads any more, ended is then whether it has
	// ended. It is nil if it is not watched.
	looked chan struct{}
	ended  bool
}

// Put keeps a connection of which nothing is to be read, or closes it. Of those that
// are watched, the oldest one is closed if there are too many.
func (p *Pool) Put(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := len(p.waiting) >= p.Most
	if p.closed || p.Most == 0 || full && !p.Watch {
		go conn.Close()
		return
	}
	if full {
		// The other side may not know yet that this one was welcome.
		go p.waiting[0].conn.Close()
		p.waiting = p.waiting[1:]
	}
	w := &waiting{conn: conn}
	if p.Idle > 0 {
		w.end = time.AfterFunc(p.Idle, func() { p.drop(w) })
	}
	if p.Watch {
		w.looked = make(chan struct{})
		go p.look(w)
	}
	p.waiting = append(p.waiting, w)
	p.tell()
}

// tell wakes those who wait for one. It must be called with the lock.
func (p *Pool) tell() {
	if p.news != nil {
		close(p.news)
		p.news = nil
	}
}

// look reads what must not come.
func (p *Pool) look(w *waiting) {
	n, err := w.conn.Read(make([]byte, 1))
	w.ended = n > 0 || !errors.Is(err, os.ErrDeadlineExceeded)
	close(w.looked)
	if w.ended {
		p.drop(w)
	}
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
	for w := p.last(); w != nil; w = p.last() {
		if w.stopLooking() {
			return w.conn
		}
		go w.conn.Close()
	}
	return nil
}

func (p *Pool) last() *waiting {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.waiting) - 1
	if last < 0 {
		return nil
	}
	w := p.waiting[last]
	p.waiting = p.waiting[:last]
	if w.end != nil {
		w.end.Stop()
	}
	return w
}

// stopLooking is false if the connection has ended.
func (w *waiting) stopLooking() bool {
	if w.looked == nil {
		return true
	}
	if w.conn.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	<-w.looked
	return !w.ended && w.conn.SetReadDeadline(time.Time{}) == nil
}

// Wait is Take, and waits until there is a connection. It gives nil when ctx or the
// pool has ended. Whoever waits behind gets none that one of the others waits for.
func (p *Pool) Wait(ctx context.Context, behind bool) net.Conn {
	if !behind {
		p.goFirst(1)
		defer p.goFirst(-1)
	}
	for {
		news, turn, open := p.nextNews(behind)
		if !open {
			return nil
		}
		if turn {
			if conn := p.Take(); conn != nil {
				return conn
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *Pool) goFirst(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first += n; p.first == 0 {
		p.tell()
	}
}

// nextNews also says whether it is the turn of somebody who waits.
func (p *Pool) nextNews(behind bool) (news <-chan struct{}, turn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.news == nil {
		p.news = make(chan struct{})
	}
	return p.news, !behind || p.first == 0, !p.closed
}

// Len is how many wait.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}

// Close closes those that wait, and those that are put back later.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.waiting {
		if w.end != nil {
			w.end.Stop()
		}
		go w.conn.Close()
	}
	p.waiting = nil
	p.tell()
}
