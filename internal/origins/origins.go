package handshake

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/otpgate/otpgate/internal/config"
)

// origins are where those came from that showed a known key, a few for each.
type origins struct {
	mu sync.Mutex
	of map[string][]netip.Prefix
}

// originsEach is how many of one are remembered, the last ones. A machine that was
// taken over cannot have strangers' addresses take the places of other machines.
const originsEach = 8

func (o *origins) note(who string, from netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	source := config.SourceOf(from)
	known := o.of[who]
	if slices.Contains(known, source) {
		return
	}
	if o.of == nil {
		o.of = map[string][]netip.Prefix{}
	}
	if len(known) >= originsEach {
		known = slices.Delete(known, 0, 1)
	}
	o.of[who] = append(known, source)
}

func (o *origins) has(from netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	source := config.SourceOf(from)
	for _, known := range o.of {
		if slices.Contains(known, source) {
			return true
		}
	}
	return false
}
