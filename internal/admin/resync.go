package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// What a resynchronisation can end with, beside the errors of factor.Resync.
var (
	ErrNothingToResync = errors.New("no device to resynchronise")
	ErrSeveralToResync = errors.New("several devices could be meant")
)

// AheadError says that a device's clock is far ahead, and so was not followed.
type AheadError struct {
	Ahead, Period int // steps, and the seconds of one
}

func (e AheadError) Error() string {
	return "its clock is " + factor.Steps(e.Ahead, e.Period) + ": set the device's clock"
}

// Resynced is what Resync found.
type Resynced struct {
	Factor account.Factor
	// Ahead is how many steps the clock is ahead (or, negative, behind), or how
	// many codes a token had been ahead.
	Ahead int
}

// Resync finds the person's device again by two codes that it shows one after
// the other, first and second, and marks them as used. id may be empty if only
// one can be meant; a confirmed one goes before one that waits for its first
// code. Wrong codes cost nothing: this is not for people at a login, who would
// have thousands of steps to guess at.
//
// A clock that is far ahead is followed only if ahead says so: once it is set
// right, its codes count as used for as long as it was ahead.
func (g People) Resync(ctx context.Context, user, id, first, second string, ahead bool) (Resynced, error) {
	person, err := g.Accounts.Load(user)
	if err != nil {
		return Resynced{}, err
	}
	f, err := astray(person, id)
	if err != nil {
		return Resynced{}, fmt.Errorf("user %q: %w", user, err)
	}
	if err := f.Unreadable(); err != nil {
		return Resynced{}, err
	}
	done := Resynced{Factor: f}
	now := g.Now()
	err = g.Ledger.Update(ctx, ledger.UserKey(person.User), func(entry *ledger.Entry) (err error) {
		done.Ahead, err = factor.Resync(person.User, f, first, second, now, entry)
		clock := f.Kind == account.TOTP
		switch again := factor.CountsAgain(person.User, f, *entry); {
		case clock && err == nil && done.Ahead > factor.MaxAhead && !ahead:
			return AheadError{done.Ahead, f.Period}
		case clock && errors.Is(err, factor.ErrOld) && again.After(now):
			return fmt.Errorf("%w, when its clock was ahead; with the right time its codes count again from %s", err, again.UTC().Format(time.RFC3339))
		}
		return err
	})
	if err != nil {
		return Resynced{}, fmt.Errorf("factor %q: %w", f.ID, err)
	}
	return done, nil
}

// astray finds the factor that id, which may be empty, means.
func astray(person account.Person, id string) (account.Factor, error) {
	for _, confirmed := range []bool{true, false} {
		meant := slices.DeleteFunc(slices.Clone(person.Factors), func(f account.Factor) bool {
			return f.Confirmed.IsZero() == confirmed || id != "" && f.ID != id || id == "" && f.Kind.IsSent()
		})
		switch {
		case len(meant) == 1:
			return meant[0], nil
		case len(meant) > 1:
			var names []string
			for _, f := range meant {
				names = append(names, f.ID)
			}
			return account.Factor{}, fmt.Errorf("%w: %s", ErrSeveralToResync, strings.Join(names, ", "))
		}
	}
	if id != "" {
		return account.Factor{}, fmt.Errorf("factor %q: %w", id, ErrNothingToResync)
	}
	return account.Factor{}, ErrNothingToResync
}
