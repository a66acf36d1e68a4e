package casledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
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
	// freshFor is how long nobody is asked again, be it for want of an answer.
	freshFor = 10 * time.Second
	// standsFor is for how long it stands that there are no texts while nobody answers. Where a
	// majority of the service is gone nothing changes; but it may go on where this machine cannot
	// see it.
	standsFor = time.Hour
	// readFor is how long the service is asked for, whoever waits for that: twice, as the first
	// time may find a connection that is dead.
	readFor = 5 * time.Second
	// waitedFor is how old such a question is that nobody begins to wait for.
	waitedFor = time.Second
)

// Recent is a Reminder. It is safe for use by many.
type Recent struct {
	Inspector

	now func() time.Time
	mu  sync.Mutex
	// known is what was read last, for the register beside; read is since when that was so,
	// zero if nothing is known.
	known  Texts
	beside string
	read   time.Time
	// failed is what came of the last question, for the register failedOf, and asked when that was.
	failed   error
	failedOf string
	asked    time.Time
	// reading is closed when the question is over that was begun then, nil if there is none.
	reading chan struct{}
	begun   time.Time
}

var _ Reminder = (*Recent)(nil)

// NewRecent gives a Recent that reads out of registers.
func NewRecent(registers Inspector) *Recent { return &Recent{Inspector: registers, now: time.Now} }

// Texts implements [Reminder]. What is known is never older than freshFor while the service
// answers. While it does not, it stands for as long as that takes that there are texts, and for
// standsFor that there are none. A refusal is no silence: then it is not known that there are none.
// Whoever asks waits for the service as long as ctx lets them, and half of that if something is known.
func (r *Recent) Texts(ctx context.Context, beside string) (Texts, error) {
	if end, limited := ctx.Deadline(); limited && r.stands(beside) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	for {
		known, wait, err := r.remembered(ctx, beside)
		if wait == nil {
			return known, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return r.otherwise(beside, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err()))
		}
	}
}

// remembered says what is known. If that is too old, it is for the caller to wait for who reads it.
func (r *Recent) remembered(ctx context.Context, beside string) (known Texts, wait <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	switch {
	case r.beside == beside && !r.read.IsZero() && age(now, r.read) < freshFor:
		return r.known, nil, nil
	case r.failed != nil && r.failedOf == beside && age(now, r.asked) < freshFor:
		known, err = r.lastKnown(beside, r.failed)
		return known, nil, err
	case r.reading != nil && age(now, r.begun) >= waitedFor:
		known, err = r.lastKnown(beside, fmt.Errorf("%w: the service has not answered yet", ErrUnavailable))
		return known, nil, err
	case r.reading == nil:
		r.reading, r.begun = make(chan struct{}), now
		go r.readAnew(context.WithoutCancel(ctx), beside)
	}
	return Texts{}, r.reading, nil
}

// stands says whether something is known, be it old.
func (r *Recent) stands(beside string) bool {
	_, err := r.otherwise(beside, ErrUnavailable)
	return err == nil
}

// otherwise is lastKnown, for whoever does not have the lock.
func (r *Recent) otherwise(beside string, why error) (Texts, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastKnown(beside, why)
}

// lastKnown is what stands where there is no answer, and why if nothing does. r.mu is held.
func (r *Recent) lastKnown(beside string, why error) (Texts, error) {
	switch {
	case r.read.IsZero():
	case r.known.Any:
		return Texts{Any: true, Beside: r.known.Beside && r.beside == beside}, nil
	case r.beside == beside && age(r.now(), r.read) < standsFor:
		return r.known, nil
	}
	return Texts{}, why
}

// age is by the clock that says more: the one stands still while a machine is suspended, the
// other one may be set back.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// readAnew reads for whoever waits. It goes on when none of them does any more: else a service
// that is slow would never be known.
func (r *Recent) readAnew(ctx context.Context, beside string) {
	var read Texts
	err := errors.New("the question was broken off")
	begun := r.now()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failed, r.failedOf, r.asked = err, beside, r.now()
		switch {
		case err == nil:
			r.known, r.beside, r.read = read, beside, begun
		case !errors.Is(err, ErrUnavailable) && !r.known.Any:
			r.read = time.Time{}
		}
		close(r.reading)
		r.reading = nil
	}()
	for range 2 {
		try, cancel := context.WithTimeout(ctx, readFor)
		read, err = r.readTexts(try, beside)
		cancel()
		if !errors.Is(err, ErrUnavailable) {
			return
		}
	}
}

func (r *Recent) readTexts(ctx context.Context, beside string) (read Texts, err error) {
	if read.Any, err = anyText(ctx, r.Inspector); err != nil || beside == "" {
		return read, err
	}
	now, err := r.Get(ctx, beside)
	read.Beside = now.Revision > 0
	return read, err
}
