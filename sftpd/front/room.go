package main

import (
	"sync"

	"golang.org/x/sys/unix"
)

// room bounds what is open, so that nobody's files take the descriptors that
// others' connections need, nor directories the memory: one that is being
// listed holds two pages of names.
type room struct {
	most  [2]int // files, directories
	above *room  // that of all connections; nil for that itself

	mu   sync.Mutex
	open [2]int
}

// Of one connection, and of all directories of a front.
const (
	maxFiles   = 1000
	maxDirs    = 64
	maxAllDirs = 2000
)

// allRoom leaves a quarter of the descriptors for connections and sessions.
func allRoom() (*room, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	return &room{most: [2]int{int(min(limit.Cur, 1<<20) / 4 * 3), maxAllDirs}}, nil
}

// forConnection is the part of it that one connection may take.
func (r *room) forConnection() *room { return &room{most: [2]int{maxFiles, maxDirs}, above: r} }

func kindOf(dir bool) int {
	if dir {
		return 1
	}
	return 0
}

// take says whether another file or directory may be opened. If so, give must
// be called once it is closed.
func (r *room) take(dir bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind := kindOf(dir)
	if r.open[kind] >= r.most[kind] || r.above != nil && !r.above.take(dir) {
		return false
	}
	r.open[kind]++
	return true
}

func (r *room) give(dir bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[kindOf(dir)]--
	if r.above != nil {
		r.above.give(dir)
	}
}
