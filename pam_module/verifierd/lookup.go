package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// namesLate is how long a server that has taken a login keeps its place while a name
// service of this machine is still asked.
const namesLate = time.Second

// lookup finds out what this machine calls a person, beside the search for a server:
// the server is told with the second frame, so mostly nobody waits for it.
type lookup struct {
	done  chan struct{}
	names []string
	err   error
}

func lookUp(engine *gate.Gate, user string) *lookup {
	l := &lookup{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer func() {
			if panicked := recover(); panicked != nil {
				l.names, l.err = nil, fmt.Errorf("panic: %v", panicked)
			}
		}()
		l.names, l.err = namesOf(engine, user)
	}()
	return l
}

// within says whether it is over within that time.
func (l *lookup) within(most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-l.done:
		return true
	case <-timer.C:
		return false
	}
}

var errNamesLate = errors.New("the name service of this machine did not answer within the time of the login; see how long `getent passwd NAME` takes")

// result waits for the names. Whose secret file counts is decided by them, so doubt
// denies.
func (l *lookup) result(ctx context.Context) ([]string, error) {
	select {
	case <-l.done:
		return l.names, l.err
	case <-ctx.Done():
		return nil, errNamesLate
	}
}

// namesOf are what this machine calls the person.
func namesOf(engine *gate.Gate, user string) ([]string, error) {
	name, known, err := engine.Names.Canonical(user)
	if err != nil || !known {
		return nil, err
	}
	others, err := engine.Names.Others(name)
	if err != nil {
		return nil, err
	}
	names := []string{name}
	for _, other := range others {
		if other != name {
			names = append(names, other)
		}
	}
	if len(names) > remotewire.MaxNames {
		return nil, errTooManyNames
	}
	return names, nil
}

var errTooManyNames = errors.New("the person's uid has too many names to tell the server of; expected at most 16")
