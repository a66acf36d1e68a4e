package main

import (
	"sync"
	"time"
)

// bandwidth shares what a person may move among all of the person's
// connections, each direction apart.
type bandwidth struct {
	now func() time.Time
	mu  sync.Mutex
	of  map[bandwidthKey]time.Time // until when what was asked for is paid
}

type bandwidthKey struct {
	uid    uint32
	upload bool
}

// bandwidthBurst may be moved at once.
const bandwidthBurst = 250 * time.Millisecond

// wait is how long to wait before n bytes are moved at rate bytes a second.
func (b *bandwidth) wait(uid uint32, upload bool, n uint32, rate int64) time.Duration {
	if rate <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[bandwidthKey]time.Time{}
	}
	key, now := bandwidthKey{uid, upload}, b.now()
	until := b.of[key]
	if until.Before(now) {
		until = now
	}
	wait := until.Sub(now) - bandwidthBurst
	b.of[key] = until.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return max(wait, 0)
}

// forget drops people whose time is paid.
func (b *bandwidth) forget(uid uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, upload := range []bool{false, true} {
		if key := (bandwidthKey{uid, upload}); b.of[key].Before(b.now()) {
			delete(b.of, key)
		}
	}
}
