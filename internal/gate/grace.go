package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
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
	record, err := g.graceRecordOf(ctx, person)
	if err != nil {
		return Need{}, err
	}
	if record.had {
		return need, nil
	}
	var until time.Time
	err = g.Ledger.Update(ctx, record.key, func(entry *ledger.Entry) error {
		known, fits := record.read(*entry)
		if !fits {
			until = time.Time{}
			return nil
		}
		var begins bool
		if until, begins = g.graceUntil(known); begins {
			record.begin(entry, g.Now().UTC().Truncate(time.Second))
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

// inGrace lets somebody in and tells what is to do. That no link could be mailed keeps
// nobody out yet.
func (g *Gate) inGrace(ctx context.Context, request Request, need Need, person account.Person, conversation Conversation) Verdict {
	verdict := Verdict{NotAsked, need.Rule, need.Reason}
	how := "Please enroll before; your administrator tells you how."
	if g.Config.Policy.Unenrolled == config.Invite && !request.Unproven {
		invited := g.invite(ctx, request, person, true)
		if invited.Told != "" {
			how = invited.Told
		}
		verdict.Reason += "; " + invited.Reason
	}
	conversation.Tell(Info, "From "+Clock(need.until)+" a verification code is required here. "+how)
	return verdict
}

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
	record, err := g.graceRecordOf(ctx, person)
	if err != nil || record.had {
		return time.Time{}, false, err
	}
	entry, err := g.Ledger.View(ctx, record.key)
	if err != nil {
		return time.Time{}, false, blame{"ledger", fmt.Errorf("look up the grace: %w", err)}
	}
	known, fits := record.read(entry)
	if !fits {
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
