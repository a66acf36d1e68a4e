package main

import (
	"net/netip"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/config"
)

// doorway keeps count of connections at their login, and turns away addresses
// that keep failing.
type doorway struct {
	now func() time.Time

	mu      sync.Mutex
	inside  int
	sources map[netip.Prefix]*source
}

// source is an address, or a /64 network.
type source struct {
	inside int
	// until is when what it did wrong is forgiven.
	until time.Time
}

// Penalties, as OpenSSH's PerSourcePenalties: a source is turned away once
// what it has is above penaltyStart, and until that is forgiven.
const (
	penaltyFailed  = 5 * time.Second  // a wrong password, key or code
	penaltyNothing = time.Second      // a connection that did not even try
	penaltyGrace   = 10 * time.Second // one that took too long
	penaltyStart   = 15 * time.Second
	penaltyMost    = 10 * time.Minute
)

// maxSources bounds the memory; beyond it some are forgiven early.
const maxSources = 100_000

func newDoorway(now func() time.Time) *doorway {
	return &doorway{now: now, sources: map[netip.Prefix]*source{}}
}

func sourceOf(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// enter says whether a connection may begin its login. If so, leave must be
// called once it is over, in or not.
func (d *doorway) enter(addr netip.Addr, limits config.SFTPLimits) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside >= limits.MaxStartups {
		return false
	}
	from := d.source(addr)
	if from.inside >= limits.StartupsPerSource || limits.Penalties && from.until.Sub(d.now()) > penaltyStart {
		return false
	}
	d.inside++
	from.inside++
	return true
}

// source must be called with the lock.
func (d *doorway) source(addr netip.Addr) *source {
	key := sourceOf(addr)
	from := d.sources[key]
	if from == nil {
		from = &source{}
		if len(d.sources) >= maxSources {
			d.forget()
		}
		d.sources[key] = from
	}
	return from
}

// forget makes room, for many at once, as it looks at all.
func (d *doorway) forget() {
	now := d.now()
	for key, from := range d.sources {
		if from.inside == 0 && !now.Before(from.until) {
			delete(d.sources, key)
		}
	}
	for key, from := range d.sources {
		if len(d.sources) <= maxSources/10*9 {
			return
		}
		if from.inside == 0 {
			delete(d.sources, key)
		}
	}
}

// leave takes the connection off the count and notes what it did wrong. If the
// address is turned away from now on because of that, it says for how long.
func (d *doorway) leave(addr netip.Addr, penalty time.Duration) (closed time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	from := d.source(addr)
	from.inside--
	if penalty > 0 {
		now := d.now()
		if from.until.Before(now) {
			from.until = now
		}
		open := from.until.Sub(now) <= penaltyStart
		from.until = from.until.Add(penalty)
		if wait := from.until.Sub(now) - penaltyStart; open && wait > 0 {
			closed = wait
		}
		if most := now.Add(penaltyMost); from.until.After(most) {
			from.until = most
		}
	}
	if from.inside == 0 && !d.now().Before(from.until) {
		delete(d.sources, sourceOf(addr))
	}
	return closed
}

// waiting is how many are at their login.
func (d *doorway) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inside
}
