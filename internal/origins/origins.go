// Package origins remembers where people, or machines, that were let in came from, so
// that strangers who take all the places at a door keep none of these out.
//
// The entry points are [Origins.Note] and [Origins.Has]. The package promises that what
// is remembered is bounded by how many are ever let in.
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
}

// each is how many of one are remembered, the last ones. Whoever is let in, or was
// taken over, cannot have strangers' addresses take the places of others.
const each = 8

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
		o.of = map[string][]netip.Prefix{}
	}
	if len(known) >= each {
		known = slices.Delete(known, 0, 1)
	}
	o.of[who] = append(known, source)
}

// Has says whether anybody was let in from an address, or its network, not long ago.
func (o *Origins) Has(from netip.Addr) bool {
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
