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
	// owes is when it can be forgiven as much as ever for right logins.
	owes time.Time
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

// A right login takes forgiveOnce off what its source has, as one person's
// client that goes on with an old password must not turn away everybody behind
// the same address. Whoever owns an account gains little by it: a source is
// forgiven forgiveMost at once and a second each second, so that it may fail
// twice as often as one from which nobody is let in.
const (
	forgiveOnce = 15 * time.Second
	forgiveMost = time.Minute
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

// enter says whether a connection may begin its login. If nothing refuses it,
// leave must be called once the login is over, in or not.
func (d *doorway) enter(addr netip.Addr, limits config.SFTPLimits) refusal {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside >= limits.MaxStartups {
		return tooManyOfAll(limits.MaxStartups)
	}
	from := d.source(addr)
	if from.inside >= limits.StartupsPerSource {
		return tooMany(addr, limits.StartupsPerSource)
	}
	if has := from.until.Sub(d.now()); has > penaltyStart && penalized(addr, limits) {
		return keepsFailing(addr, has-penaltyStart)
	}
	d.inside++
	from.inside++
	return refusal{}
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
		if from.nothing(now) {
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

// penalized says whether what an address does wrong counts.
func penalized(addr netip.Addr, limits config.SFTPLimits) bool {
	return limits.Penalties && !listed(addr, limits.PenaltyExempt)
}

// leave takes the connection off the count and notes what it did wrong, or that
// somebody is in. If the address is turned away from now on, it says for how
// long.
func (d *doorway) leave(addr netip.Addr, limits config.SFTPLimits, end end) (closed time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	d.inside--
	from := d.source(addr)
	from.inside--
	switch {
	case end.in:
		from.forgive(now)
	case end.penalty > 0 && penalized(addr, limits):
		closed = from.punish(now, end.penalty)
	}
	if from.nothing(now) {
		delete(d.sources, sourceOf(addr))
	}
	return closed
}

// end is how a login ended.
type end struct {
	in      bool
	penalty time.Duration
}

// punish returns how long the source is turned away, 0 if it was already.
func (s *source) punish(now time.Time, penalty time.Duration) (closed time.Duration) {
	s.until = latest(s.until, now)
	open := s.until.Sub(now) <= penaltyStart
	s.until = s.until.Add(penalty)
	if most := now.Add(penaltyMost); s.until.After(most) {
		s.until = most
	}
	if wait := s.until.Sub(now) - penaltyStart; open && wait > 0 {
		return wait
	}
	return 0
}

func (s *source) forgive(now time.Time) {
	s.owes = latest(s.owes, now)
	credit := min(forgiveOnce, s.until.Sub(now), forgiveMost-s.owes.Sub(now))
	if credit > 0 {
		s.until, s.owes = s.until.Add(-credit), s.owes.Add(credit)
	}
}

// nothing says whether the source is as one that was never seen.
func (s *source) nothing(now time.Time) bool {
	return s.inside == 0 && !now.Before(s.until) && !now.Before(s.owes)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// waiting is how many are at their login.
func (d *doorway) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inside
}
