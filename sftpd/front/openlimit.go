package main

import (
	"sync"

	"golang.org/x/sys/unix"
)

// openLimit bounds what is open, so that nobody's files take the descriptors that
// others' connections need, nor directories the memory: one that is being listed
// holds two pages of names.
type openLimit struct {
	most   [2]int     // files, directories
	parent *openLimit // that of all connections; nil for that itself

	mu   sync.Mutex
	open [2]int
}

// Of one connection, and of all directories of a front.
const (
	maxFiles   = 1000
	maxDirs    = 64
	maxAllDirs = 2000
)

// limitOfAll leaves a quarter of the descriptors for connections and sessions.
func limitOfAll() (*openLimit, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	return &openLimit{most: [2]int{int(min(limit.Cur, 1<<20) / 4 * 3), maxAllDirs}}, nil
}

// forConnection is the part of it that one connection may take.
func (l *openLimit) forConnection() *openLimit {
	return &openLimit{most: [2]int{maxFiles, maxDirs}, parent: l}
}

func kindOf(dir bool) int {
	if dir {
		return 1
	}
	return 0
}

// acquire says whether another file or directory may be opened. If so, release
// must be called once it is closed.
func (l *openLimit) acquire(dir bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := kindOf(dir)
	if l.open[kind] >= l.most[kind] || l.parent != nil && !l.parent.acquire(dir) {
		return false
	}
	l.open[kind]++
	return true
}

func (l *openLimit) release(dir bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[kindOf(dir)]--
	if l.parent != nil {
		l.parent.release(dir)
	}
}
