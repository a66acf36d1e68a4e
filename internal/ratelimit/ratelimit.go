// Package ratelimit bounds how often something may happen in a minute.
//
// The entry point is [Limiter.Take]. What is not used up of one minute is there for
// the next, and no more than that.
package ratelimit

import "time"

// Limiter is how many may begin now of those that a minute allows. The zero value has
// a whole minute's.
type Limiter struct {
	spare float64
	since time.Time // when spare was right
}

// Take uses up one, if there is one.
func (p *Limiter) Take(now time.Time, perMinute int) bool {
	full := float64(perMinute)
	if p.since.IsZero() {
		p.spare, p.since = full, now
	}
	p.spare = min(full, p.spare+max(0, now.Sub(p.since).Minutes())*full)
	p.since = now
	if p.spare < 1 {
		return false
	}
	p.spare--
	return true
}
