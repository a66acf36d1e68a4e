package selfservice

import (
	"context"
	"errors"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Look says what has become of a link, and changes nothing. The error for somebody who
// cannot enter is that of Enter.
func (s Service) Look(ctx context.Context, link string) (invitation.Page, error) {
	key, known := invitation.KeyOf(link, "")
	if link == "" || !known {
		return invitation.Page{}, nil
	}
	entry, err := s.People.Ledger.View(ctx, key)
	if err != nil {
		return invitation.Page{}, err
	}
	one := entry.Invitation
	if one.Purpose != purpose {
		return invitation.Page{}, nil
	}
	page := invitation.Page{State: stateOf(one, s.now()), At: one.Ends, Name: deliver.MaskName(one.User)}
	switch page.State {
	case invitation.Ready:
		_, err = s.mayEnter(ctx, one)
		switch {
		case errors.Is(err, invitation.ErrCancelled):
			page.State, page.At, err = invitation.Cancelled, s.now(), nil
		case errors.Is(err, invitation.ErrRemoved):
			page.State, err = invitation.Removed, nil
		case errors.Is(err, invitation.ErrDisabled):
			page.State, err = invitation.Disabled, nil
		}
	case invitation.Used:
		page.At = one.Done
	case invitation.Cancelled:
		page.At = one.Cancelled
	}
	return page, err
}

// mayEnter is the person of a link, as it is now, or why that one cannot enter by it.
func (s Service) mayEnter(ctx context.Context, link ledger.Invitation) (account.Person, error) {
	person, err := s.load(link.User)
	if err != nil {
		return person, err
	}
	if link.Of != standingOf(person) {
		return person, invitation.ErrCancelled // it went to another mailbox, or by a device that was stolen
	}
	entry, err := s.People.Ledger.View(ctx, ledger.UserKey(link.User))
	if err != nil {
		return person, err
	}
	return person, canEnter(person, entry)
}

// Entered is a browser session that began.
type Entered struct {
	// BrowserSession is what the browser must send with what follows, until Ends.
	BrowserSession string
	Ends           time.Time
	// Unseen is how many wrong codes the person had not been told of.
	Unseen int
}

// Enter opens what is the person's for a browser, by a link and a code of a device, or a
// recovery code. Both are used up by it, the code first.
func (s Service) Enter(ctx context.Context, link, code, remote string) (Entered, error) {
	key, known := invitation.KeyOf(link, "")
	one, err := s.links().Find(ctx, key, known && link != "", remote, purpose)
	if err != nil {
		return Entered{}, err
	}
	if err := errOf(stateOf(one, s.now())); err != nil {
		return Entered{}, err
	}
	// What becomes of the person from here on ends the browser session.
	person, err := s.mayEnter(ctx, one)
	if err != nil {
		return Entered{}, err
	}
	secret, err := invitation.NewSecret(s.Random)
	if err != nil {
		return Entered{}, err
	}
	proof, err := s.prove(ctx, person, remote, code)
	if err != nil {
		return Entered{}, err
	}
	now := s.now()
	ends := now.Add(sessionTime)
	err = s.People.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
		if err := errOf(stateOf(entry.Invitation, now)); err != nil {
			return err
		}
		i := &entry.Invitation
		i.Opened, i.Done, i.BrowserSession, i.BrowserSessionEnds, i.Of = now, now, invitation.Hash(secret), ends, standingOf(person)
		return nil
	})
	if err != nil {
		return Entered{}, err
	}
	s.People.Audit.Write(audit.Record{
		User: person.User, Remote: remote, Verdict: "opened", Rule: rule, By: by, Reason: "with a code of " + proof.Rule,
	})
	return Entered{BrowserSession: invitation.SessionOf(key, secret), Ends: ends, Unseen: proof.Unseen}, nil
}

// errOf is why a link in that state is not taken.
func errOf(state invitation.State) error {
	switch state {
	case invitation.Ready:
		return nil
	case invitation.Used:
		return invitation.ErrUsed
	case invitation.Cancelled:
		return invitation.ErrCancelled
	case invitation.Expired:
		return invitation.ErrExpired
	}
	return invitation.ErrUnknown
}

// Leave ends a browser session.
func (s Service) Leave(ctx context.Context, browser BrowserSession) error {
	v, err := s.open(ctx, browser)
	if err != nil {
		return err
	}
	return v.goOn(ctx, func(link *ledger.Invitation) { link.Cancelled = v.now() })
}
