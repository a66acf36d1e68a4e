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

// taken are the places that somebody has.
type taken struct {
	mu sync.Mutex
	// of are those of each source, the oldest first.
	of map[netip.Prefix][]*place
	// starting are those of anybody, reserved the others.
	starting, reserved int
}

// take takes a place for a connection, if there is one of that kind. A source that has
// as many as it may gives its oldest one up, whose connection is closed: many may have
// that address, and who shows a key needs a place for moments only. Were the new one
// turned away, whoever shares a machine's address could keep it out for good.
func (t *taken) take(from netip.Addr, conn io.Closer, reserved bool, limits Limits) *place {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &place{source: config.SourceOf(from), conn: conn, reserved: reserved}
	others := t.of[p.source]
	switch {
	case len(others) >= limits.PerSource:
		oldest := others[0]
		p.reserved = oldest.reserved
		others = slices.Delete(others, 0, 1)
		oldest.conn.Close()
	case !reserved && t.starting < limits.AtOnce:
		t.starting++
	case reserved && t.reserved < limits.Reserve:
		t.reserved++
	default:
		return nil
	}
	if t.of == nil {
		t.of = map[netip.Prefix][]*place{}
	}
	t.of[p.source] = append(others, p)
	return p
}

// leave gives a place back. It is false if somebody else has it already.
func (t *taken) leave(p *place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.of[p.source]
	i := slices.Index(of, p)
	if i < 0 {
		return false
	}
	if of = slices.Delete(of, i, i+1); len(of) == 0 {
		delete(t.of, p.source)
	} else {
		t.of[p.source] = of
	}
	if p.reserved {
		t.reserved--
	} else {
		t.starting--
	}
	return true
}
