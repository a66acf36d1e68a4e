// Package portalanswer answers what the page for people asks, out of the engine.
//
// The entry points are [Answer], and [AnswerAll] where people who are enrolled may look
// after what is theirs. They promise that the page learns no more than a link, or
// what a browser has of one, shows: a masked name, and what was made for that browser
// alone; and that what cannot be decided gets no answer.
package portalanswer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/selfservice"
)

// Answer answers one request. engine.Peer names whose program the page is: where a
// browser comes from is that program's word. The error is for the log, and has nothing
// that is for the browser alone.
func Answer(ctx context.Context, engine *gate.Gate, request portalwire.Request) (portalwire.Answer, error) {
	return AnswerAll(ctx, engine, request, nil)
}

// AnswerAll is Answer also for people who are enrolled. What later has to do is done behind
// the answers; without one they get none.
func AnswerAll(ctx context.Context, engine *gate.Gate, request portalwire.Request, later *Later) (portalwire.Answer, error) {
	// Without one, wrong links would count against nobody.
	if _, err := netip.ParseAddr(request.Remote); err != nil {
		return portalwire.Answer{}, errors.New("the page does not say from which address the browser comes; " +
			"a proxy in front of it must send X-Forwarded-For")
	}
	answer, known, err := managed(ctx, engine, request, later)
	if !known {
		answer, err = result(ctx, invitation.Invitations{People: admin.People{Gate: engine}, Random: rand.Reader}, request)
	}
	if err == nil {
		return answer, nil
	}
	if refused, ok := refusal(err); ok {
		return dated(ctx, engine, request, refused)
	}
	return portalwire.Answer{}, fmt.Errorf("%s: %w", request.Op, err)
}

func result(ctx context.Context, invitations invitation.Invitations, request portalwire.Request) (portalwire.Answer, error) {
	switch request.Op {
	case portalwire.Open:
		page, err := invitations.Look(ctx, request.Link)
		return portalwire.Answer{Page: &portalwire.Page{State: page.State.String(), At: page.At, Name: page.Name}}, err
	case portalwire.Begin:
		setup, err := invitations.Begin(ctx, request.Link, request.Remote)
		return portalwire.Answer{Setup: setupOf(setup)}, err
	case portalwire.Resume:
		setup, err := invitations.Resume(ctx, request.BrowserSession, request.Remote)
		return portalwire.Answer{Setup: setupOf(setup)}, err
	case portalwire.Confirm:
		enrolled, err := invitations.Confirm(ctx, invitation.Answer{
			BrowserSession: request.BrowserSession, First: request.First, Current: request.Current, Remote: request.Remote,
		})
		return portalwire.Answer{Enrolled: &portalwire.Enrolled{
			ID: enrolled.Factor.ID, Replaced: enrolled.Replaced, RecoveryCodes: enrolled.RecoveryCodes, Unseen: enrolled.Unseen,
		}}, err
	}
	return portalwire.Answer{}, errors.New("unknown op")
}

func setupOf(setup invitation.Setup) *portalwire.Setup {
	return &portalwire.Setup{
		BrowserSession: setup.BrowserSession, URI: setup.URI, Key: setup.Key, ID: setup.ID, Digits: setup.Digits, Period: setup.Period,
		Algorithm: setup.Algorithm, Needs: setup.Needs, Ends: setup.Ends,
	}
}

// words are by which the page has a text for an error.
var words = []struct {
	err  error
	word string
}{
	{invitation.ErrUnknown, portalwire.Unknown}, {invitation.ErrUsed, portalwire.Used}, {invitation.ErrExpired, portalwire.Expired},
	{invitation.ErrCancelled, portalwire.Cancelled}, {invitation.ErrDisabled, portalwire.Disabled}, {invitation.ErrRemoved, portalwire.Removed},
	{invitation.ErrOvertaken, portalwire.Overtaken}, {invitation.ErrOpenedAgain, portalwire.OpenedAgain}, {invitation.ErrSessionEnded, portalwire.SessionEnded},
	{invitation.ErrCurrent, portalwire.WrongCurrent}, {invitation.ErrCurrentUsed, portalwire.UsedCurrent}, {enrollment.ErrCodeUsed, portalwire.UsedFirst},
	{selfservice.ErrNoDevice, portalwire.NoDevice}, {selfservice.ErrNotFound, portalwire.NotFound}, {selfservice.ErrBadName, portalwire.BadName},
	{selfservice.ErrTakenName, portalwire.TakenName}, {selfservice.ErrTooMany, portalwire.TooManyDevices}, {selfservice.ErrLast, portalwire.LastDevice},
	{selfservice.ErrYoungDevice, portalwire.YoungDevice},
}

// refusal is the answer for an error that is the person's to know. One that came with
// another, such as a wrong link that could not be counted, is none.
func refusal(err error) (portalwire.Answer, bool) {
	err, ok := alone(err)
	if !ok {
		return portalwire.Answer{}, false
	}
	if locked, ok := errors.AsType[invitation.LockedError](err); ok {
		return portalwire.Answer{Refused: portalwire.Locked, Until: locked.Until}, true
	}
	if fresh, ok := errors.AsType[invitation.NewKeyError](err); ok {
		return portalwire.Answer{Refused: portalwire.NewKey, Setup: setupOf(fresh.Setup)}, true
	}
	if wrong, ok := errors.AsType[enrollment.WrongCodeError](err); ok {
		if wrong.Malformed {
			return portalwire.Answer{Refused: portalwire.MalformedFirst}, true
		}
		return portalwire.Answer{Refused: portalwire.WrongFirst}, true
	}
	for _, known := range words {
		if errors.Is(err, known.err) {
			return portalwire.Answer{Refused: known.word}, true
		}
	}
	return portalwire.Answer{}, false
}

// dated has a refusal say when that came about which the page speaks of.
func dated(ctx context.Context, engine *gate.Gate, request portalwire.Request, refused portalwire.Answer) (portalwire.Answer, error) {
	switch refused.Refused {
	case portalwire.Used, portalwire.Expired, portalwire.Cancelled:
	default:
		return refused, nil
	}
	key, _ := invitation.KeyOf(request.Link, request.BrowserSession)
	entry, err := engine.Ledger.View(ctx, key)
	if err != nil {
		return portalwire.Answer{}, fmt.Errorf("%s: %w", request.Op, err)
	}
	refused.Until = map[string]time.Time{
		portalwire.Used: entry.Invitation.Done, portalwire.Expired: entry.Invitation.Ends, portalwire.Cancelled: entry.Invitation.Cancelled,
	}[refused.Refused]
	if refused.Until.IsZero() {
		refused.Until = engine.Now().UTC() // it was found just now, or is forgotten
	}
	return refused, nil
}

// alone is the one error that is joined in err, if there are no others.
func alone(err error) (error, bool) {
	for {
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			return err, true
		}
		all := joined.Unwrap()
		if len(all) != 1 {
			return err, false
		}
		err = all[0]
	}
}
