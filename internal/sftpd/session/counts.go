package session

import "sync"

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

// Leave takes a connection off the count.
func (c *Counts) Leave(uid uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[uid]--; c.of[uid] <= 0 {
		delete(c.of, uid)
	}
}
