// Package casledger keeps a ledger in a service that has compare-and-swap, for
// several machines that decide the same people's logins.
//
// The entry point is [New]; what the service must be is [Registers]. The package
// promises what package ledger does. In particular, a change whose end is not known
// is never made twice: each one has a mark of its own that is stored with the entry.
// Who got no answer reads the register. If it has the mark, the change was made. If
// it is as before, the very same bytes are sent again, so that whichever of the two
// comes first makes the other one fail. If somebody else changed it meanwhile, the
// change is run on what they left: a code that the lost answer had used up is used.
package casledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/otpgate/otpgate/internal/keylock"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Limits bound how long a login waits for the service.
type Limits struct {
	// Try is how long one question waits for its answer.
	Try time.Duration
	// All is how long a View or an Update asks again, and waits for others of this
	// process that change the same entry.
	All time.Duration
}

// LimitsOf are those of a login that waits so long at most: the service is asked
// three times in that.
func LimitsOf(all time.Duration) Limits { return Limits{Try: all / 3, All: all} }

// Store is a [ledger.Store].
type Store struct {
	registers Registers
	limits    Limits
	// locks has those of this process who change the same entry do so one after the
	// other. Of fifty logins with one code one then writes and the others see it, where
	// otherwise each would have to try again because of the others.
	locks keylock.Locks
	// pause waits before another try, or until ctx ends.
	pause func(ctx context.Context)
	now   func() time.Time
	// ahead has a place for each entry that is looked up ahead.
	ahead chan struct{}
	// former is the directory of the machine's ledger in files, which may have been moved
	// here; "" if that makes no difference.
	former string
}

var (
	_ ledger.Store      = (*Store)(nil)
	_ ledger.Identified = (*Store)(nil)
)

// New gives the store in registers, which it closes with itself.
func New(registers Registers, limits Limits) *Store {
	return &Store{registers: registers, limits: limits, pause: pause, now: time.Now, ahead: make(chan struct{}, aheadAtOnce)}
}

// Close releases what the store holds open.
func (s *Store) Close() error { return s.registers.Close() }

// A value is a byte that names this format, the mark of who wrote it, and the
// encoded entry.
const (
	format    = 1
	markBytes = 16
	headBytes = 1 + markBytes
)

// View implements [ledger.Store].
func (s *Store) View(ctx context.Context, key ledger.Key) (ledger.Entry, error) {
	if err := ledger.CheckKey(key); err != nil {
		return ledger.Entry{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	name := registerOf(key)
	now, err := s.getAfter(ctx, name)
	var payload []byte
	if err == nil {
		_, payload, err = split(now)
	}
	var entry ledger.Entry
	if err == nil {
		entry, err = ledger.Decode(payload)
	}
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("read ledger entry %q: %w", name, withContext(ctx, outOfReach(err)))
	}
	return entry, nil
}

// Update implements [ledger.Store].
func (s *Store) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if err := ledger.CheckKey(key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	name := registerOf(key)
	var refused error
	err := s.update(ctx, key.Kind, name, func(entry *ledger.Entry) error {
		refused = change(entry)
		return refused
	})
	if refused != nil {
		return refused
	}
	if err != nil {
		return fmt.Errorf("update ledger entry %q: %w", name, withContext(ctx, err))
	}
	return nil
}

func (s *Store) update(ctx context.Context, kind ledger.Kind, name string, change func(*ledger.Entry) error) error {
	leave, err := s.locks.Lock(ctx, name)
	if err != nil {
		return fmt.Errorf("wait for others who change the entry: %w", err)
	}
	defer leave()
	next := swap{mark: newMark()}
	keep := time.Duration(0)
	keeping := func(entry *ledger.Entry) error {
		err := change(entry)
		keep = keepOf(kind, *entry, s.now())
		return err
	}
	now, err := s.getAfter(ctx, name)
	if err != nil {
		return outOfReach(err)
	}
	unclear := false
	for err == nil {
		var done bool
		if done, err = next.prepare(now, keeping); done || err != nil {
			return err
		}
		var swapped bool
		swapped, now, err = s.swap(ctx, name, next, keep)
		switch {
		case err == nil && swapped:
			return nil
		case err == nil:
			s.pause(ctx)
			err = ended(ctx)
		case errors.Is(err, ErrUnavailable):
			unclear = true
			if ctx.Err() == nil {
				s.pause(ctx)
				now, err = s.get(ctx, name)
			}
		}
	}
	if unclear {
		return inDoubt(ctx, err)
	}
	return err
}

// swap is what an Update wants stored.
type swap struct {
	mark  []byte
	value []byte
	// revision is what value was made of; only with that may it be stored.
	revision int64
}

// prepare makes the value for what the register holds now. It is done if the
// register holds what an earlier try of the same Update stored, or if nothing is
// to be stored.
func (n *swap) prepare(now Register, change func(*ledger.Entry) error) (done bool, err error) {
	mark, payload, err := split(now)
	if err != nil {
		return false, err
	}
	if bytes.Equal(mark, n.mark) {
		return true, nil
	}
	if n.value != nil && now.Revision == n.revision {
		return false, nil // the same again, see the package's comment
	}
	after, changed, err := ledger.Change(payload, change)
	if err != nil || !changed {
		return true, err
	}
	n.revision = now.Revision
	n.value = append(append([]byte{format}, n.mark...), after...)
	return false, nil
}

// get asks until there is an answer.
func (s *Store) get(ctx context.Context, name string) (Register, error) {
	var before error
	for {
		try, cancel := context.WithTimeout(ctx, s.limits.Try)
		now, err := s.registers.Get(try, name)
		cancel()
		if !errors.Is(err, ErrUnavailable) {
			return now, err
		}
		if ctx.Err() != nil {
			// The last try was cut short, and says less than the one before.
			if before != nil {
				err = before
			}
			return now, err
		}
		before = err
		s.pause(ctx)
	}
}

func (s *Store) swap(ctx context.Context, name string, next swap, keep time.Duration) (swapped bool, now Register, err error) {
	try, cancel := context.WithTimeout(ctx, s.limits.Try)
	defer cancel()
	return s.registers.Swap(try, name, next.revision, next.value, keep)
}

// split takes a register's value apart. One that is not known is refused, as a
// field of an entry is.
func split(r Register) (mark, payload []byte, err error) {
	switch {
	case r.Revision == 0:
		return nil, nil, nil
	case len(r.Value) < headBytes:
		return nil, nil, fmt.Errorf("%w: a value of %d bytes, expected at least %d", ledger.ErrDamaged, len(r.Value), headBytes)
	case r.Value[0] != format:
		return nil, nil, fmt.Errorf("%w: unknown format %d, expected %d; it was written by a newer version", ledger.ErrDamaged, r.Value[0], format)
	}
	return r.Value[1:headBytes], r.Value[headBytes:], nil
}

func newMark() []byte {
	mark := make([]byte, markBytes)
	_, _ = rand.Read(mark) // never fails, see its documentation
	return mark
}

func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("others keep changing the entry: %w", ctx.Err())
}

// longestPause lets those who change one entry from several machines get out of
// step. It is a few round trips within a data centre.
const longestPause = 20 * time.Millisecond

func pause(ctx context.Context) {
	timer := time.NewTimer(mathrand.N(longestPause))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
