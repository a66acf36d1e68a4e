package casledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// KnownTexts is HasTexts of a moment ago, see [Recent], asked once. The error is a [NotKnownError]
// where nobody could tell, and another one where this is not known to be the service that this
// machine's ledger in files was moved to, if one was.
func (s *Store) KnownTexts(ctx context.Context) (bool, error) {
	reminder, can := s.registers.(Reminder)
	if !can {
		return false, NotKnownError{Why: errors.New("this ledger cannot say whether there are people in it")}
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
	known, err := reminder.Texts(ctx, beside)
	switch {
	case err != nil:
		return false, NotKnownError{Why: err}
	case moved != nil && !known.Beside:
		return false, ledger.ForgottenError{MovedError: *moved}
	}
	return known.Any, nil
}

// NotKnownError says that it is not known whether there are texts.
type NotKnownError struct {
	Why error
	// Again says that this is no news: somebody was told a moment ago, or the login that asked is over.
	Again bool
}

func (e NotKnownError) Error() string {
	return fmt.Sprintf("it is not known whether other servers have people in etcd: %v", e.Why)
}

func (e NotKnownError) Unwrap() error { return e.Why }

// ForLogins asks whether there are texts, for logins that must not wait long: no longer than
// Within, and not at all for freshFor once that was not answered. It is safe for use by many.
type ForLogins struct {
	// Ask is [Store.KnownTexts].
	Ask    func(ctx context.Context) (bool, error)
	Within time.Duration
	Now    func() time.Time

	mu sync.Mutex
	// some says that there were some when that was last answered.
	some bool
	// silent is what was wrong at since, nil if the last question was answered.
	silent error
	since  time.Time
}

// Any says whether there are some. Once it is known that there are, that stands until the
// service says otherwise.
func (f *ForLogins) Any(ctx context.Context) (bool, error) {
	if some, found, err := f.remembered(); found {
		return some, err
	}
	asking, cancel := context.WithTimeout(ctx, f.Within)
	defer cancel()
	some, err := f.Ask(asking)
	f.mu.Lock()
	defer f.mu.Unlock()
	var unknown NotKnownError
	switch {
	case !errors.As(err, &unknown):
		f.silent = nil
		f.some = some && err == nil
		return some, err
	case ctx.Err() != nil: // which says nothing of the service
		unknown.Again = true
	default:
		unknown.Again = f.isSilent()
		if !unknown.Again {
			f.silent, f.since = unknown.Why, f.Now()
		}
	}
	if f.some {
		return true, nil
	}
	return false, unknown
}

// remembered is for as long as nobody is to be asked.
func (f *ForLogins) remembered() (some, found bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.isSilent():
		return false, false, nil
	case f.some:
		return true, true, nil
	}
	return false, true, NotKnownError{Why: f.silent, Again: true}
}

// isSilent says whether a question was not answered a moment ago. f.mu is held.
func (f *ForLogins) isSilent() bool { return f.silent != nil && age(f.Now(), f.since) < freshFor }
