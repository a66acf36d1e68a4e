// Package keylock has locks by name, for those of one process who work on the same thing.
//
// The entry point is [Locks.Lock]. It promises that those who work on other things wait for
// nobody, and that nothing is kept of a thing that nobody works on.
package keylock

import (
	"context"
	"errors"
	"sync"
)

// ErrFull says that as many as may wait do already.
var ErrFull = errors.New("too many wait for the same lock")

// Locks are those of any number of things, by name. The zero value has nothing locked.
type Locks struct {
	// MaxWaiting is how many may wait for a lock that somebody has, 0 for any number.
	MaxWaiting int

	mu  sync.Mutex
	all map[string]*lock
}

type lock struct {
	// held has an element while somebody has it.
	held chan struct{}
	// users have the lock or wait for it.
	users int
}

// Lock waits for the lock, until ctx ends. One that nobody has is given all the same,
// as nobody else is why it is late. unlock gives it back. The error is [ErrFull],
// or that of ctx.
func (l *Locks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	one, err := l.acquire(name)
	if err != nil {
		return nil, err
	}
	unlock = func() {
		<-one.held
		l.release(name, one)
	}
	select {
	case one.held <- struct{}{}:
		return unlock, nil
	default:
	}
	select {
	case one.held <- struct{}{}:
		return unlock, nil
	case <-ctx.Done():
		l.release(name, one)
		return nil, ctx.Err()
	}
}

func (l *Locks) acquire(name string) (*lock, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.all[name]
	if one == nil {
		one = &lock{held: make(chan struct{}, 1)}
		if l.all == nil {
			l.all = make(map[string]*lock)
		}
		l.all[name] = one
	}
	if l.MaxWaiting > 0 && one.users > l.MaxWaiting {
		return nil, ErrFull
	}
	one.users++
	return one, nil
}

func (l *Locks) release(name string, one *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(l.all, name)
	}
}

// Users is how many have a thing's lock, or wait for it.
func (l *Locks) Users(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.all[name]; one != nil {
		return one.users
	}
	return 0
}
