// Package turns has those of one process who work on the same thing do so one after the
// other.
//
// The entry point is [Turns]. It promises that those who work on other things wait for
// nobody, and that nothing is kept of a thing that nobody works on.
package turns

import (
	"context"
	"errors"
	"sync"
)

// ErrFull says that as many as may wait do already.
var ErrFull = errors.New("too many wait for the same turn")

// Turns are those of any number of things, by name. The zero Turns has nobody wait.
type Turns struct {
	// Waiting is how many may wait for a turn that somebody has, 0 for any number.
	Waiting int

	mu  sync.Mutex
	all map[string]*turn
}

type turn struct {
	// taken has an element while it is somebody's turn.
	taken chan struct{}
	// users have the turn or wait for it.
	users int
}

// Take waits for the turn, until ctx ends. A turn that is nobody's is given all the
// same, as nobody else is why it is late. leave gives it back. The error is [ErrFull],
// or that of ctx.
func (t *Turns) Take(ctx context.Context, name string) (leave func(), err error) {
	one, err := t.join(name)
	if err != nil {
		return nil, err
	}
	leave = func() {
		<-one.taken
		t.quit(name, one)
	}
	select {
	case one.taken <- struct{}{}:
		return leave, nil
	default:
	}
	select {
	case one.taken <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		t.quit(name, one)
		return nil, ctx.Err()
	}
}

func (t *Turns) join(name string) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.all[name]
	if one == nil {
		one = &turn{taken: make(chan struct{}, 1)}
		if t.all == nil {
			t.all = make(map[string]*turn)
		}
		t.all[name] = one
	}
	if t.Waiting > 0 && one.users > t.Waiting {
		return nil, ErrFull
	}
	one.users++
	return one, nil
}

func (t *Turns) quit(name string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.all, name)
	}
}

// Users is how many have the turn at a thing, or wait for it.
func (t *Turns) Users(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one := t.all[name]; one != nil {
		return one.users
	}
	return 0
}
