package casledger

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/otpgate/otpgate/internal/ledger"
)

// aheadAtOnce is how many entries are looked up ahead at the same time. When a service hangs
// thousands of logins may wait for it, and each look takes a goroutine and a connection.
const aheadAtOnce = 64

var _ ledger.Ahead = (*Store)(nil)

// ViewAhead implements [ledger.Ahead]. Entries for which there is no place are looked up when
// they are asked for.
func (s *Store) ViewAhead(ctx context.Context, keys ...ledger.Key) func(i int) (ledger.Entry, error) {
	views := make([]func() (ledger.Entry, error), len(keys))
	for i, key := range keys {
		select {
		case s.ahead <- struct{}{}:
			views[i] = s.begin(ctx, key)
		default:
			views[i] = sync.OnceValues(func() (ledger.Entry, error) { return s.View(ctx, key) })
		}
	}
	return func(i int) (ledger.Entry, error) { return views[i]() }
}

// begin looks an entry up ahead, and gives what waits for it.
func (s *Store) begin(ctx context.Context, key ledger.Key) func() (ledger.Entry, error) {
	var entry ledger.Entry
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { <-s.ahead }()
		defer caught(&err)
		entry, err = s.View(ctx, key)
	}()
	return func() (ledger.Entry, error) {
		<-done // View ends by the limits
		return entry, err
	}
}

// caught makes a panic an error: it must end the login that it is in and no other one.
func caught(err *error) {
	if panicked := recover(); panicked != nil {
		*err = fmt.Errorf("panic: %v", panicked)
	}
}

// knowsAhead is knows, begun at once.
func (s *Store) knowsAhead(ctx context.Context, moved ledger.MovedError) <-chan error {
	known := make(chan error, 1)
	go func() {
		err := errors.New("it was not looked whether the ledger was moved here")
		defer func() { known <- err }()
		defer caught(&err)
		err = s.knows(ctx, moved)
	}()
	return known
}
