// Package origins remembers the addresses from which people, or machines, were let in,
// so that strangers who use up all connections keep nobody out who comes from there.
//
// The entry points are [Origins.Note] and [Origins.Has]. The package promises that what
// is remembered is bounded by how many are ever let in, and that looking costs the same
// however many that are.
package origins

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/otpgate/otpgate/internal/config"
)

// Origins are where they came from, a few for each. The zero value has none.
type Origins struct {
	mu sync.Mutex
	of map[string][]netip.Prefix
	// by is of by its addresses: how many came from each.
	by map[netip.Prefix]int
}

// Each is how many of one are remembered, the last ones. Whoever is let in, or was
// taken over, cannot have strangers' addresses displace those of others.
const Each = 8

// Note remembers that somebody was let in from an address.
func (o *Origins) Note(who string, from netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	source := config.SourceOf(from)
	known := o.of[who]
	if slices.Contains(known, source) {
		return
	}
	if o.of == nil {
		o.of, o.by = map[string][]netip.Prefix{}, map[netip.Prefix]int{}
	}
	if len(known) >= Each {
		if o.by[known[0]]--; o.by[known[0]] == 0 {
			delete(o.by, known[0])
		}
		known = slices.Delete(known, 0, 1)
	}
	o.of[who] = append(known, source)
	o.by[source]++
}

// Has says whether anybody was let in from an address, or its network, not long ago.
func (o *Origins) Has(from netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.by[config.SourceOf(from)] > 0
}
