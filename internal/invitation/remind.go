package invitation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Reminder is what becomes of somebody who was invited and has not enrolled.
type Reminder struct {
	// Due says that a new link is to be mailed, and Ends until when it is good.
	Due  bool
	Ends time.Time
	// To is where it went, masked.
	To string
}

// ErrNoAddress is of somebody who was invited by mail and has no address any more.
var ErrNoAddress = errors.New("there is no address in the secret file any more")

// Remind mails the person a new link if one is due: so long after the last one was mailed,
// while that is good. The new one ends when that would have, and takes its place once it
// has gone out. It is noted before: whatever stops it, nobody is mailed twice in that time,
// and the last link stays good. A mail that failed is tried again before. With dry it only
// says what it would do.
func (i Invitations) Remind(ctx context.Context, user string, every time.Duration, dry bool) (Reminder, error) {
	dir, err := i.place().Open()
	if err != nil {
		return Reminder{}, err
	}
	person, err := dir.Load(user)
	if err = errors.Join(err, dir.Close()); err != nil {
		return Reminder{}, err
	}
	if !dry {
		// Whose link has ended is not reminded, and what it showed counts for nothing.
		if err := i.ForgetOf(ctx, user); err != nil {
			return Reminder{}, err
		}
	}
	last, due, err := i.remindable(ctx, person, every)
	if err != nil || !due {
		return Reminder{}, err
	}
	r := Reminder{Due: true, Ends: last.Ends}
	switch {
	case person.Email == "":
		return r, ErrNoAddress
	case dry:
		return r, nil
	}
	now := i.now()
	if claimed, err := i.claim(ctx, last, now); err != nil || !claimed {
		return Reminder{}, err
	}
	one := last.Invitation
	one.Made, one.Mailed = now, now
	one.BrowserSession, one.BrowserSessionEnds, one.Key, one.Wrong, one.Opened = "", time.Time{}, "", 0, time.Time{}
	if r.To, err = i.mailBeside(ctx, one, person.Email); err != nil && !errors.Is(err, errEarlier) {
		err = errors.Join(err, i.unclaim(ctx, last, now, every))
	}
	return r, err
}

// nextTry is how long after a mail that failed another one is tried: sooner than the next
// reminder is due, and late enough that those whose mails always fail hold up nobody else.
const nextTry = 6 * time.Hour

// unclaim takes back that a link was mailed in the place of that one, but for the time
// until the next try.
func (i Invitations) unclaim(ctx context.Context, last named, claimed time.Time, every time.Duration) error {
	// Who has waited for too long for the mail server should not wait for another day too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	err := i.People.Ledger.Update(ctx, last.key, func(entry *ledger.Entry) error {
		if entry.Invitation.Mailed.Equal(claimed) {
			entry.Invitation.Mailed = claimed.Add(min(every, nextTry) - every)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note that the reminder failed: %w", err)
	}
	return nil
}

// remindable finds the person's last good link, if another one is due in its place.
func (i Invitations) remindable(ctx context.Context, person account.Person, every time.Duration) (last named, due bool, err error) {
	links, err := i.linksOf(ctx, person.User)
	if err != nil {
		return named{}, false, err
	}
	now := i.now()
	used := time.Time{}
	for _, link := range links {
		if stateWith(link.Invitation, person, now) == Ready {
			if isOpen(link.Invitation, now) {
				return named{}, false, nil
			}
			if !link.Made.Before(last.Made) {
				last = link
			}
		}
		if link.Done.After(used) {
			used = link.Done
		}
	}
	switch {
	case last.Mailed.IsZero() || mailedLately(last.Invitation, every, now) || last.Ends.Sub(now) < Shortest:
		return named{}, false, nil
	case !used.IsZero() && !used.Before(last.Made):
		// Somebody was at the page of the one before when this one was mailed, and has
		// enrolled since.
		return named{}, false, i.endLinks(ctx, person.User, []ledger.InvitationLink{{Name: last.key.Name, Ends: last.Ends}}, now, nobodys)
	}
	return last, true, nil
}

// claim notes that a link is mailed in the place of that one, unless somebody has done so
// meanwhile or is at its page.
func (i Invitations) claim(ctx context.Context, last named, now time.Time) (claimed bool, err error) {
	errNot := errors.New("another one")
	same := func(one ledger.Invitation) error {
		if !one.Mailed.Equal(last.Mailed) || isOpen(one, now) {
			return errNot
		}
		return nil
	}
	err = i.change(ctx, last.key, same, func(one *ledger.Invitation) { one.Mailed = now })
	if errors.Is(err, errNot) || refused(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("note the reminder: %w", err)
	}
	return true, nil
}
