// Package admission decides which connections of the SFTP server may begin a
// login: it limits how many are at their login, in all and per address, turns away
// addresses that keep failing, and takes the address of a client from a proxy.
//
// The entry points are [Counter] and [ProxiedAddress]. What is remembered of
// addresses is bounded, and nothing is read beyond a header.
package admission

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/origins"
)

// Counter keeps count of connections at their login, and turns away addresses
// that keep failing.
type Counter struct {
	now func() time.Time
	// origins are where people came from who are, or were, in.
	origins origins.Origins

	mu      sync.Mutex
	pending int
	sources map[netip.Prefix]*source
}

// source is an address, or a /64 network.
type source struct {
	pending int
	// until is when what it did wrong is forgiven.
	until time.Time
	// owes is when it can be forgiven as much as ever for right logins.
	owes time.Time
}

// Penalties, as OpenSSH's PerSourcePenalties: a source is turned away once
// what it has is above penaltyThreshold, and until that is forgiven.
const (
	PenaltyFailed    = 5 * time.Second  // a wrong password, key or code
	PenaltyNothing   = time.Second      // a connection that did not even try
	PenaltyGrace     = 10 * time.Second // one that took too long
	penaltyThreshold = 15 * time.Second
	penaltyMost      = 10 * time.Minute
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

// NewCounter makes a counter without connections.
func NewCounter(now func() time.Time) *Counter {
	return &Counter{now: now, sources: map[netip.Prefix]*source{}}
}

// Admit says whether a connection may begin its login. If nothing refuses it,
// Release must be called once the login has ended, in or not.
func (c *Counter) Admit(addr netip.Addr, limits config.SFTPLimits) Refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if refused := c.full(addr, limits); refused != (Refusal{}) {
		return refused
	}
	from := c.source(addr)
	if from.pending >= limits.StartupsPerSource {
		return tooMany(addr, limits.StartupsPerSource)
	}
	if has := from.until.Sub(c.now()); has > penaltyThreshold && penalized(addr, limits) {
		return keepsFailing(addr, has-penaltyThreshold)
	}
	c.pending++
	from.pending++
	return Refusal{}
}

// full says whether there is no place for a connection. A quarter more may be at their
// login if they come from where people came from: whoever has many addresses takes all the
// others, and keeps out who was never here. It must be called with the lock.
func (c *Counter) full(addr netip.Addr, limits config.SFTPLimits) Refusal {
	reserve := limits.MaxStartups / 4
	if c.pending < limits.MaxStartups {
		return Refusal{}
	}
	if c.pending >= limits.MaxStartups+reserve || !c.origins.Has(addr) {
		return tooManyOfAll(c.pending)
	}
	if from := c.sources[config.SourceOf(addr)]; from != nil && from.pending >= share(reserve) {
		return tooManyMeanwhile(c.pending, from.pending, addr)
	}
	return Refusal{}
}

// share is how many one source may have at their login when only places of the reserve
// are left. Strangers may share an address with somebody who was in, and whoever has an
// account has all addresses that are remembered of one: those leave a share for others.
func share(reserve int) int { return max(1, reserve/(origins.Each+1)) }

// source must be called with the lock.
func (c *Counter) source(addr netip.Addr) *source {
	key := config.SourceOf(addr)
	from := c.sources[key]
	if from == nil {
		from = &source{}
		if len(c.sources) >= maxSources {
			c.forget()
		}
		c.sources[key] = from
	}
	return from
}

// forget makes room, for many at once, as it looks at all.
func (c *Counter) forget() {
	now := c.now()
	for key, from := range c.sources {
		if from.nothing(now) {
			delete(c.sources, key)
		}
	}
	for key, from := range c.sources {
		if len(c.sources) <= maxSources/10*9 {
			return
		}
		if from.pending == 0 {
			delete(c.sources, key)
		}
	}
}

// penalized says whether what an address does wrong counts.
func penalized(addr netip.Addr, limits config.SFTPLimits) bool {
	return limits.Penalties && !Listed(addr, limits.PenaltyExempt)
}

// Release takes the connection off the count and notes what it did wrong, or that
// somebody is in. If the address is turned away from now on, it says for how
// long.
func (c *Counter) Release(addr netip.Addr, limits config.SFTPLimits, how Result) (closed time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.pending--
	from := c.source(addr)
	from.pending--
	switch {
	case how.Entered:
		from.forgive(now)
		c.origins.Note(strconv.FormatUint(uint64(how.UID), 10), addr)
	case how.Penalty > 0 && penalized(addr, limits):
		closed = from.punish(now, how.Penalty)
	}
	if from.nothing(now) {
		delete(c.sources, config.SourceOf(addr))
	}
	return closed
}

// Result is how a login ended.
type Result struct {
	Entered bool
	UID     uint32 // who entered
	Penalty time.Duration
}

// punish returns how long the source is turned away, 0 if it was already.
func (s *source) punish(now time.Time, penalty time.Duration) (closed time.Duration) {
	s.until = latest(s.until, now)
	open := s.until.Sub(now) <= penaltyThreshold
	s.until = s.until.Add(penalty)
	if most := now.Add(penaltyMost); s.until.After(most) {
		s.until = most
	}
	if wait := s.until.Sub(now) - penaltyThreshold; open && wait > 0 {
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
	return s.pending == 0 && !now.Before(s.until) && !now.Before(s.owes)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Pending is how many are at their login.
func (c *Counter) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending
}
