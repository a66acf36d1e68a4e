package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
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
	until, begins, err := g.lookAtGrace(ctx, person)
	return until, err == nil && !begins && !until.IsZero(), err
}

// graceNow is until when somebody's grace would hold if the login were now.
func (g *Gate) graceNow(ctx context.Context, need Need, person account.Person) (time.Time, error) {
	if grace := g.Config.Policy.Grace; !need.mayWait || grace.Until.IsZero() && grace.For <= 0 {
		return time.Time{}, nil
	}
	until, _, err := g.lookAtGrace(ctx, person)
	return until, err
}

// lookAtGrace says until when somebody's grace holds, and whether it would begin
// now.
func (g *Gate) lookAtGrace(ctx context.Context, person account.Person) (until time.Time, begins bool, err error) {
	place, err := g.graceRecordOf(ctx, person)
	if err != nil || place.had {
		return time.Time{}, false, err
	}
	entry, err := g.Ledger.View(ctx, place.key)
	if err != nil {
		return time.Time{}, false, blame{"ledger", fmt.Errorf("look up the grace: %w", err)}
	}
	known, room := place.read(entry)
	if !room {
		return time.Time{}, false, nil
	}
	until, begins = g.graceUntil(known)
	return until, begins, nil
}

// peerGrace is until when the peer's programs let in somebody whose grace they
// have begun, or did.
func (g *Gate) peerGrace(entry ledger.Entry) time.Time {
	if entry.PeerGraces[g.Peer].IsZero() {
		return time.Time{}
	}
	known, _ := graceRecord{peer: g.Peer}.read(entry)
	until, begins := g.graceUntil(known)
	if begins {
		return time.Time{}
	}
	return until
}
