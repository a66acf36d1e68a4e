package casledger

import (
	"context"
	"errors"
	"time"
)

// Registers is a service that keeps a value under each key, and swaps one for
// another only if it is still the one that was read.
type Registers interface {
	// Get reads what key holds: nothing older than what it held when Get was called.
	Get(ctx context.Context, key string) (Register, error)

	// Swap stores value under key if the register still has that revision. If it has
	// not, swapped is false and now is what it holds. The service forgets what was not
	// swapped again for keep; 0 is never.
	Swap(ctx context.Context, key string, revision int64, value []byte, keep time.Duration) (swapped bool, now Register, err error)

	// Close releases what is held open.
	Close() error
}

// Register is what a key holds.
type Register struct {
	Value []byte
	// Revision differs whenever a value was stored. It is 0 where there is none.
	Revision int64
}

// ErrUnavailable is wrapped by errors of Registers that did not answer. Whether a
// Swap took place is not known then: it may even take place later. Any other error
// of Swap says that it did not.
var ErrUnavailable = errors.New("no answer")
