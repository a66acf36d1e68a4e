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
	p.fill(now, perMinute)
	if p.spare < 1 {
		return false
	}
	p.spare--
	return true
}

// Has says whether there is one, and uses up none.
func (p *Limiter) Has(now time.Time, perMinute int) bool {
	p.fill(now, perMinute)
	return p.spare >= 1
}

// Full says whether it is as the zero value is.
func (p *Limiter) Full(now time.Time, perMinute int) bool {
	p.fill(now, perMinute)
	return p.spare >= float64(perMinute)
}

// Wait is how long after the last Take there is one again.
func (p *Limiter) Wait(perMinute int) time.Duration {
	return time.Duration(max(0, 1-p.spare) / float64(perMinute) * float64(time.Minute))
}

func (p *Limiter) fill(now time.Time, perMinute int) {
	full := float64(perMinute)
	if p.since.IsZero() {
		p.spare, p.since = full, now
	}
	p.spare = min(full, p.spare+max(0, now.Sub(p.since).Minutes())*full)
	p.since = now
}
