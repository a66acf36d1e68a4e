package portalanswer

import (
	"context"
	"sync"
	"time"
)

// Later is what is done behind answers, one after the other: sending mail. So no answer
// waits for a mail server, and none tells by its time whether there was a mail. The zero
// value is ready.
type Later struct {
	mu sync.Mutex
	// first are done before those that wait.
	first, waiting []func(context.Context)
	running        bool
	ended          bool
	done           sync.WaitGroup
	// panicked gets what a panic in it says.
	Panicked func(any)
}

const (
	// mostWaiting is how much waits at once, of either. A mail takes a second or two,
	// seldom more.
	mostWaiting = 256
	// longest is how long each may take: longer than a mail server is waited for.
	longest = 2 * time.Minute
)

// Do has something done. It is false, and nothing is, if too much waits or the end has come.
func (l *Later) Do(what func(context.Context)) bool {
	return l != nil && l.add(&l.waiting, what)
}

// DoFirst is Do for what goes before all that waits there, and finds its own places.
func (l *Later) DoFirst(what func(context.Context)) bool {
	return l != nil && l.add(&l.first, what)
}

func (l *Later) add(to *[]func(context.Context), what func(context.Context)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(*to) >= mostWaiting {
		return false
	}
	*to = append(*to, what)
	if !l.running {
		l.running = true
		l.done.Go(l.work)
	}
	return true
}

func (l *Later) work() {
	for {
		l.mu.Lock()
		from := &l.first
		if len(*from) == 0 {
			from = &l.waiting
		}
		if len(*from) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		what := (*from)[0]
		*from = (*from)[1:]
		l.mu.Unlock()
		l.one(what)
	}
}

func (l *Later) one(what func(context.Context)) {
	defer func() {
		if panicked := recover(); panicked != nil && l.Panicked != nil {
			l.Panicked(panicked)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	what(ctx)
}

// End takes no more, and waits for what is left.
func (l *Later) End() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.done.Wait()
}

// Wait waits until nothing waits.
func (l *Later) Wait() { l.done.Wait() }
