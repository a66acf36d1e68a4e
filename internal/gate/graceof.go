package gate

import (
	"context"
	"fmt"
	"time"
)

// GraceOf says until when somebody is let in who has to enroll first, which may
// be over; the zero time if there is no grace for this person. Where it counts
// from a first login that has not been, begun is false, and until what it would
// be if that were now. It changes nothing.
func (g *Gate) GraceOf(ctx context.Context, user string) (until time.Time, begun bool, err error) {
	if grace := g.Config.Policy.Grace; grace.Until.IsZero() && grace.For <= 0 {
		return time.Time{}, false, nil
	}
	if _, exempt := g.exempt(user); exempt {
		return time.Time{}, false, nil
	}
	person, found, err := g.find(user)
	if err != nil || found && person.Enrolled() {
		return time.Time{}, false, err
	}
	if need := g.unenrolled(user, person, found); need.Code == NoCode || !need.mayWait {
		return time.Time{}, false, nil
	}
	key, had, err := g.graceKey(ctx, person)
	if err != nil || had {
		return time.Time{}, false, err
	}
	entry, err := g.Ledger.View(ctx, key)
	if err != nil {
		return time.Time{}, false, blame{"ledger", fmt.Errorf("look up the grace: %w", err)}
	}
	until, begins := g.graceUntil(entry)
	return until, !begins, nil
}
