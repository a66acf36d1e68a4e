package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// graceUntil says when the grace of a person ends, the zero time if there is
// none. begins says that it would begin with this login.
func (g *Gate) graceUntil(entry ledger.Entry) (until time.Time, begins bool) {
	grace := g.Config.Policy.Grace
	switch {
	case hadCodes(entry):
		// Somebody who had codes and has none now, such as after a theft.
		return time.Time{}, false
	case !grace.Until.IsZero():
		return grace.Until, false
	case grace.For <= 0:
		return time.Time{}, false
	case entry.Grace.IsZero() || entry.Grace.After(g.Now()):
		// A beginning that is still to come is from a clock that was wrong.
		return g.Now().Add(grace.For), true
	}
	return entry.Grace.Add(grace.For), false
}

// grace lets in for now who would have to enroll first, and notes when that
// began.
func (g *Gate) grace(ctx context.Context, need Need, person account.Person) (Need, error) {
	if grace := g.Config.Policy.Grace; !need.mayWait || grace.Until.IsZero() && grace.For <= 0 {
		return need, nil
	}
	place, err := g.graceRecordOf(ctx, person)
	if err != nil {
		return Need{}, err
	}
	if place.had {
		return need, nil
	}
	var until time.Time
	err = g.Ledger.Update(ctx, place.key, func(entry *ledger.Entry) error {
		known, room := place.read(*entry)
		if !room {
			until = time.Time{}
			return nil
		}
		var begins bool
		if until, begins = g.graceUntil(known); begins {
			place.begin(entry, g.Now().UTC().Truncate(time.Second))
		}
		return nil
	})
	if err != nil {
		return Need{}, blame{"ledger", fmt.Errorf("note the grace: %w", err)}
	}
	return g.afterGrace(need, until), nil
}

// hadCodes says whether the person has logged in with one.
func hadCodes(entry ledger.Entry) bool { return !entry.LastLogin.IsZero() || len(entry.Used) > 0 }

// afterGrace is need, unless the grace that ends at until still holds.
func (g *Gate) afterGrace(need Need, until time.Time) Need {
	if !need.mayWait || !g.Now().Before(until) {
		return need
	}
	return Need{Code: InGrace, Rule: "policy.grace", Reason: "until " + until.UTC().Format(time.RFC3339) + "; then " + need.Reason, until: until}
}

// enrollUntil tells somebody in grace what is to do.
func enrollUntil(until time.Time) string {
	return "From " + clock(until) + " a verification code is required here. Please enroll before; your administrator tells you how."
}
