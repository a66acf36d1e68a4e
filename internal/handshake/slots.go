package handshake

import (
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/otpgate/otpgate/internal/config"
)

// slot is that of one connection.
type slot struct {
	source netip.Prefix
	conn   io.Closer
	// reserved says that it is one of those for addresses which known keys come from.
	reserved bool
}

func isOrdinary(s *slot) bool { return !s.reserved }

// slots are those that somebody has, the oldest first.
type slots struct {
	mu  sync.Mutex
	all []*slot
}

// isFull says whether those who come from anywhere have no slot left.
func (s *slots) isFull(limits Limits) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(isOrdinary) >= limits.AtOnce
}

// take takes a slot for a connection. If there is none left, the oldest one is given up
// and its connection closed, of the same source if that has as many as it may: who shows
// a key needs a slot for moments only. Were the new connection turned away, those who
// show none could keep everybody out, with a few connections those who share their
// address. known says that known keys come from that address.
func (s *slots) take(from netip.Addr, conn io.Closer, known bool, limits Limits) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := &slot{source: config.SourceOf(from), conn: conn}
	isSame := func(other *slot) bool { return other.source == taken.source }
	ordinary := s.count(isOrdinary)
	switch {
	case s.count(isSame) >= limits.PerSource:
		taken.reserved = s.end(isSame)
	case ordinary < limits.AtOnce:
	case known && len(s.all)-ordinary < limits.Reserve:
		taken.reserved = true
	default:
		s.end(isOrdinary)
	}
	s.all = append(s.all, taken)
	return taken
}

// count must be called with the lock, as end must.
func (s *slots) count(matches func(*slot) bool) (n int) {
	for _, one := range s.all {
		if matches(one) {
			n++
		}
	}
	return n
}

// end ends the oldest such connection, and says whether its slot was reserved.
func (s *slots) end(matches func(*slot) bool) (reserved bool) {
	i := slices.IndexFunc(s.all, matches)
	if i < 0 {
		return false
	}
	oldest := s.all[i]
	s.all = slices.Delete(s.all, i, i+1)
	oldest.conn.Close()
	return oldest.reserved
}

// release gives a slot back. It is false if somebody else has it already.
func (s *slots) release(one *slot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.all, one)
	if i < 0 {
		return false
	}
	s.all = slices.Delete(s.all, i, i+1)
	return true
}
