package handshake

import (
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/otpgate/otpgate/internal/config"
)

// place is that of one connection.
type place struct {
	source netip.Prefix
	conn   io.Closer
	// reserved says that it is one of those for addresses which known keys come from.
	reserved bool
}

func isOrdinary(p *place) bool { return !p.reserved }

// taken are the places that somebody has, the oldest first.
type taken struct {
	mu  sync.Mutex
	all []*place
}

// isFull says whether those who come from anywhere have no place left.
func (t *taken) isFull(limits Limits) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count(isOrdinary) >= limits.AtOnce
}

// take takes a place for a connection. If there is none left, the oldest one is given up
// and its connection closed, of the same source if that has as many as it may: who shows
// a key needs a place for moments only. Were the new connection turned away, those who
// show none could keep everybody out, with a few connections those who share their
// address. known says that known keys come from that address.
func (t *taken) take(from netip.Addr, conn io.Closer, known bool, limits Limits) *place {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &place{source: config.SourceOf(from), conn: conn}
	isSame := func(other *place) bool { return other.source == p.source }
	ordinary := t.count(isOrdinary)
	switch {
	case t.count(isSame) >= limits.PerSource:
		p.reserved = t.end(isSame)
	case ordinary < limits.AtOnce:
	case known && len(t.all)-ordinary < limits.Reserve:
		p.reserved = true
	default:
		t.end(isOrdinary)
	}
	t.all = append(t.all, p)
	return p
}

// count must be called with the lock, as end must.
func (t *taken) count(is func(*place) bool) (n int) {
	for _, p := range t.all {
		if is(p) {
			n++
		}
	}
	return n
}

// end ends the oldest such connection, and says whether its place was reserved.
func (t *taken) end(is func(*place) bool) (reserved bool) {
	i := slices.IndexFunc(t.all, is)
	if i < 0 {
		return false
	}
	oldest := t.all[i]
	t.all = slices.Delete(t.all, i, i+1)
	oldest.conn.Close()
	return oldest.reserved
}

// leave gives a place back. It is false if somebody else has it already.
func (t *taken) leave(p *place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.all, p)
	if i < 0 {
		return false
	}
	t.all = slices.Delete(t.all, i, i+1)
	return true
}
