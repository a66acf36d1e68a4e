package authentication

import (
	"crypto/sha256"
	"slices"
	"sync"
)

// replays remembers the sessions that keys were proven in. A front chooses the
// hash that a session's id is, so one that is taken over could have an older one
// signed again and bring the proof that a client gave for that.
type replays struct {
	mu sync.Mutex
	of map[uint32]*sessions
}

// sessions are a person's, the oldest given up for new ones. Only the person's
// own keys put any in.
type sessions struct {
	ids  [][sha256.Size]byte
	next int
}

// maxReplays bounds what is remembered of one person: 128 KiB.
const maxReplays = 4096

// fresh says whether no key of the person was proven in that session before, and
// notes that one is now.
func (s *replays) fresh(uid uint32, sessionID []byte) bool {
	id := sha256.Sum256(sessionID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[uint32]*sessions{}
	}
	known := s.of[uid]
	if known == nil {
		known = &sessions{}
		s.of[uid] = known
	}
	switch {
	case slices.Contains(known.ids, id):
		return false
	case len(known.ids) < maxReplays:
		known.ids = append(known.ids, id)
	default:
		known.ids[known.next] = id
		known.next = (known.next + 1) % maxReplays
	}
	return true
}
