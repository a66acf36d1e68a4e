package casledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
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

// outOfReach has an error that says nobody answered say [ledger.ErrUnreachable] too. It
// is for questions that changed nothing for certain.
func outOfReach(err error) error {
	if !errors.Is(err, ErrUnavailable) {
		return err
	}
	return unreachable{err}
}

type unreachable struct{ error }

func (u unreachable) Unwrap() error        { return u.error }
func (u unreachable) Is(target error) bool { return target == ledger.ErrUnreachable }

// inDoubt hides what err is, but for the end of ctx: a change that may have taken place,
// or may still, is not one that could not be made.
func inDoubt(ctx context.Context, err error) error {
	return fmt.Errorf("%w: %w", ErrUnclear, doubt{err.Error(), ctx.Err()})
}

// ErrUnclear is wrapped by the error for a change that may have been made.
var ErrUnclear = errors.New("it is not known whether the change was made")

type doubt struct {
	text string
	ctx  error
}

func (d doubt) Error() string { return d.text }
func (d doubt) Unwrap() error { return d.ctx }

// withContext has an error that ctx put an end to be that of ctx too, whatever the
// service or the way to it says of a question that was cut short.
func withContext(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && errors.Is(err, ErrUnavailable) {
		return late{unavailable: err, ctx: ended}
	}
	return err
}

// late is an error because of which a question was asked again until ctx ended.
type late struct{ unavailable, ctx error }

func (l late) Error() string   { return l.unavailable.Error() }
func (l late) Unwrap() []error { return []error{l.unavailable, l.ctx} }
