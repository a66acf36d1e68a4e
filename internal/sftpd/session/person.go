package session

import (
	"errors"
	"sync"

	"github.com/otpgate/otpgate/internal/nss"
)

// Person is what the system knows of somebody.
type Person struct {
	UID, GID uint32
	Home     string
	Groups   []uint32
}

// LookUp is nil for somebody who is not to log in; the error says to the log
// why.
func LookUp(name string, allowRoot bool) (*Person, error) {
	found, known, err := nss.UserByName(name)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, nss.ErrUnknownUser
	}
	if found.UID == 0 && !allowRoot {
		return nil, errors.New("uid 0 needs allow_root = true in [sftp]")
	}
	groups, err := nss.GroupsOf(found)
	if err != nil {
		return nil, err
	}
	return &Person{UID: found.UID, GID: found.GID, Home: found.Home, Groups: groups}, nil
}

// Counts counts the connections of the people who are in. They are told apart by
// their ids here and wherever they share something: some name services know a
// person by many spellings of the name.
type Counts struct {
	mu sync.Mutex
	of map[uint32]int
}

// Enter says whether there is room; most is 0 for any number.
func (c *Counts) Enter(uid uint32, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most > 0 && c.of[uid] >= most {
		return false
	}
	if c.of == nil {
		c.of = map[uint32]int{}
	}
	c.of[uid]++
	return true
}

// stay counts what a connection has left behind.
func (c *Counts) stay(uid uint32) { c.Enter(uid, 0) }

// Leave takes a connection off the count.
func (c *Counts) Leave(uid uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[uid]--; c.of[uid] <= 0 {
		delete(c.of, uid)
	}
}
