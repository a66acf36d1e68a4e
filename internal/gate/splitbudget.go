package gate

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// maxLooks bounds the people of whom looks are remembered. Where there is no
// place for one more, nothing is looked at.
const maxLooks = 1024

// SplitBudget bounds how often a program of another than root's may have the end of a
// password compared with codes that nobody has given yet, in logins that are
// remembered: it could try them all. It is in memory, as nothing may be written
// before a password was checked, and costs the owner nothing: as long as no look
// is left, a new code behind the password is taken for a part of it, while the
// password alone and the code that opened the session go on working.
type SplitBudget struct {
	mu  sync.Mutex
	key [sha256.Size]byte
	of  map[lookedAt]*looked
}

type lookedAt struct{ peer, user string }

type looked struct {
	left float64
	at   time.Time
	// last is what was last found to be no code, as a hash: clients send the same
	// password again and again. It is not compared again: whoever sent one text
	// until it is a code would learn which one is.
	last [sha256.Size]byte
}

// NewSplitBudget makes one for all logins of a process.
func NewSplitBudget() *SplitBudget {
	l := &SplitBudget{of: map[lookedAt]*looked{}}
	_, _ = rand.Read(l.key[:]) // never fails, see its documentation
	return l
}

// take counts a look, of which there are limit in a day. What was no code the
// last time is none now, and costs nothing. After a look comes found.
func (l *SplitBudget) take(peer, user, text string, limit int, now time.Time) (may bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := float64(limit)
	at := lookedAt{peer, user}
	of := l.of[at]
	if of == nil {
		if len(l.of) >= maxLooks && !l.forget(now) {
			return false
		}
		of = &looked{left: full, at: now}
		l.of[at] = of
	}
	of.left = min(full, of.left+max(0, now.Sub(of.at).Hours()/budgetTime.Hours())*full)
	of.at = now
	if l.hash(text) == of.last || of.left < 1 {
		return false
	}
	of.left--
	return true
}

func (l *SplitBudget) hash(text string) [sha256.Size]byte {
	return sha256.Sum256(append(l.key[:], text...))
}

// found says what a look has found. A code was no try.
func (l *SplitBudget) found(peer, user, text string, code bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.of[lookedAt{peer, user}]
	switch {
	case of == nil:
	case code:
		of.left++
	default:
		of.last = l.hash(text)
	}
}

// forget makes room: all that is forgiven is forgotten.
func (l *SplitBudget) forget(now time.Time) bool {
	for at, of := range l.of {
		if now.Sub(of.at) >= budgetTime {
			delete(l.of, at)
		}
	}
	return len(l.of) < maxLooks
}

// Counting says whether anything is remembered that must not be forgotten yet.
func (l *SplitBudget) Counting(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range l.of {
		if now.Sub(of.at) < budgetTime {
			return true
		}
	}
	return false
}
