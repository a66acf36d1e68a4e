package casledger

import (
	"context"
	"fmt"
	"sync"
)

// turns has those of one process who change the same entry do so one after the
// other. Of fifty logins with one code one then writes and the others see it, where
// otherwise each would have to try again because of the others.
type turns struct {
	mu  sync.Mutex
	all map[string]*turn
}

type turn struct {
	// free has an element while it is nobody's turn.
	free chan struct{}
	// users have the turn or wait for it.
	users int
}

// take waits for the turn, until ctx ends. A turn that is nobody's is given all the
// same, as nobody else is why it is late. leave gives it back.
func (t *turns) take(ctx context.Context, name string) (leave func(), err error) {
	one := t.join(name)
	leave = func() {
		one.free <- struct{}{}
		t.quit(name, one)
	}
	select {
	case <-one.free:
		return leave, nil
	default:
	}
	select {
	case <-one.free:
		return leave, nil
	case <-ctx.Done():
		t.quit(name, one)
		return nil, fmt.Errorf("wait for others who change the entry: %w", ctx.Err())
	}
}

func (t *turns) join(name string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.all[name]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		if t.all == nil {
			t.all = make(map[string]*turn)
		}
		t.all[name] = one
	}
	one.users++
	return one
}

func (t *turns) quit(name string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.all, name)
	}
}
