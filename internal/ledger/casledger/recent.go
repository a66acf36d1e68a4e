package casledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// Whoever has not enrolled in files may have in the texts, if other servers have their
// people there. That must be known at each login of theirs, and changes once in the life of
// a site: so it is remembered for a moment, and such a login mostly asks nobody far away.

// Texts is what is known of the texts as a whole.
type Texts struct {
	// Any says that there are some, or ever were: one that was taken away is one.
	Any bool
	// Beside says that the register beside them is there that was asked about too.
	Beside bool
}

// Reminder is a Registers that may remember what it knew of the texts a moment ago.
type Reminder interface {
	Registers

	// Texts says what is known of them, and of the register of that name. "" asks about none.
	Texts(ctx context.Context, beside string) (Texts, error)
}

const (
	// freshFor is how long nobody is asked again.
	freshFor = 10 * time.Second
	// standsFor is for how long what was known stands while nobody answers. Where a majority
	// of the service is gone nothing changes; but it may go on where this machine cannot see it.
	standsFor = time.Hour
)

// Recent is a Reminder. It is safe for use by many.
type Recent struct {
	Inspector

	now func() time.Time
	mu  sync.Mutex
	// known is what was read last, for the register beside; read is since when that was so,
	// zero if nothing is known, and asked when somebody last tried to read it.
	known       Texts
	beside      string
	read, asked time.Time
	// reading is closed when somebody who reads it has done so, nil if nobody does.
	reading chan struct{}
}

var _ Reminder = (*Recent)(nil)

// NewRecent gives a Recent that reads out of registers.
func NewRecent(registers Inspector) *Recent { return &Recent{Inspector: registers, now: time.Now} }

// Texts implements [Reminder]. What is known is never older than freshFor while the service
// answers, nor than standsFor while it does not. A refusal is no silence: then nothing is known.
func (r *Recent) Texts(ctx context.Context, beside string) (Texts, error) {
	for {
		known, found, reading, wait := r.remembered(beside)
		switch {
		case found:
			return known, nil
		case reading:
			return r.readAnew(ctx, beside, wait)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return Texts{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
}

// remembered says what is known. If that is too old, it is for the caller to read it anew,
// or to wait for somebody else who does.
func (r *Recent) remembered(beside string) (known Texts, found, reading bool, wait chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	stands := !r.read.IsZero() && r.beside == beside && now.Sub(r.read) < standsFor
	switch {
	case stands && (now.Sub(r.asked) < freshFor || r.reading != nil):
		return r.known, true, false, nil
	case r.reading != nil:
		return Texts{}, false, false, r.reading
	}
	r.reading, r.asked = make(chan struct{}), now
	return Texts{}, false, true, r.reading
}

func (r *Recent) readAnew(ctx context.Context, beside string, done chan struct{}) (Texts, error) {
	begun := r.now()
	read, err := r.readTexts(ctx, beside)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = nil
	close(done)
	switch {
	case err == nil:
		r.known, r.beside, r.read = read, beside, begun
	case !errors.Is(err, ErrUnavailable):
		r.read = time.Time{}
	case !r.read.IsZero() && r.beside == beside && begun.Sub(r.read) < standsFor:
		return r.known, nil
	}
	return read, err
}

func (r *Recent) readTexts(ctx context.Context, beside string) (read Texts, err error) {
	if read.Any, err = anyText(ctx, r.Inspector); err != nil || beside == "" {
		return read, err
	}
	now, err := r.Get(ctx, beside)
	read.Beside = now.Revision > 0
	return read, err
}

// KnownTexts is HasTexts of a moment ago, see [Recent]. It is an error where it is not known that
// this is the service that this machine's ledger in files was moved to, if one was.
func (s *Store) KnownTexts(ctx context.Context) (bool, error) {
	reminder, can := s.registers.(Reminder)
	if !can {
		return false, errors.New("this ledger cannot say whether there are people in it")
	}
	moved, err := s.movedHere()
	if errors.As(err, new(ledger.MovedError)) {
		moved, err = nil, nil // the ledger is under way there, whoever is in it already
	}
	if err != nil {
		return false, err
	}
	beside := ""
	if moved != nil {
		beside = endOf(moved.From)
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	for {
		try, cancelTry := context.WithTimeout(ctx, s.limits.Try)
		known, err := reminder.Texts(try, beside)
		cancelTry()
		switch {
		case err == nil && moved != nil && !known.Beside:
			return false, ledger.ForgottenError{MovedError: *moved}
		case !errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
			return known.Any, withContext(ctx, outOfReach(err))
		}
		s.pause(ctx)
	}
}
