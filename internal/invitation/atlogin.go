package invitation

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

const (
	// nextMail is how long after a link was mailed a login has another one mailed, in
	// case that one got lost. Whoever knows the password brings about no more.
	nextMail = time.Hour
	// mailing is how long a login that is under way may take to mail a link, while
	// others of the person wait for nothing.
	mailing = time.Minute
	// graceMailing is how long a login that goes on waits for the mail server.
	graceMailing = 10 * time.Second
)

// AtLogin is a [gate.Inviter]. The link goes to the address in the secret file, and nowhere
// without one: whoever logs in could name any.
func AtLogin(ctx context.Context, engine *gate.Gate, person account.Person, inGrace bool) gate.Invited {
	if inGrace {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, graceMailing)
		defer cancel()
	}
	return Invitations{People: admin.People{Gate: engine}, Random: rand.Reader}.atLogin(ctx, person, inGrace)
}

func (i Invitations) atLogin(ctx context.Context, person account.Person, inGrace bool) gate.Invited {
	if person.Email == "" {
		return gate.Invited{Reason: fmt.Sprintf("no link is mailed, as there is no address in a secret file; otpctl invite %s --email ADDRESS gives one", person.User)}
	}
	if i.People.Config.Portal == nil {
		return couldNot(errors.New("there is no [portal] in the configuration"))
	}
	ready, err := i.readyLinks(ctx, person)
	if err != nil {
		return couldNot(err)
	}
	if have, ok := i.there(ready, person, inGrace); ok {
		return have
	}
	until, err := i.countMail(ctx, person.User)
	switch {
	case err != nil:
		return couldNot(err)
	case !until.IsZero():
		return gate.Invited{
			Told:   "The link to set it up cannot be mailed now. Try again after " + gate.Clock(until) + ".",
			Reason: "no link is mailed before " + until.UTC().Format(time.RFC3339),
		}
	}
	now := i.now()
	one := ledger.Invitation{
		User: person.User, Purpose: enroll, Factor: gate.LoginFactor, Of: gate.EnrollmentOf(person),
		Made: now, Ends: now.Add(i.People.Config.Portal.Link.Duration), Mailed: now,
	}
	to, err := i.mailBeside(ctx, one, person.Email)
	if err != nil && !errors.Is(err, errEarlier) {
		return couldNot(err)
	}
	done := gate.Invited{
		Told:   fmt.Sprintf("A link to set it up was mailed to %s, good until %s. Open it and follow the page%s.", to, gate.Clock(one.Ends), again(inGrace)),
		Reason: "a link was mailed to " + to,
	}
	if err != nil {
		done.Reason += ", but " + err.Error()
	}
	return done
}

// couldNot is of a link that was to be mailed.
func couldNot(err error) gate.Invited {
	return gate.Invited{Told: "The link to set it up could not be mailed. Try again later, or ask your administrator.", Err: err}
}

// there is what whoever has a good link is told, unless another one is due: it is none
// while one was mailed lately, or somebody is at its page. One that was handed over is the
// admin's to replace.
func (i Invitations) there(ready []ledger.Invitation, person account.Person, inGrace bool) (have gate.Invited, ok bool) {
	if len(ready) == 0 {
		return gate.Invited{}, false
	}
	now := i.now()
	last := slices.MaxFunc(ready, func(a, b ledger.Invitation) int { return cmp.Compare(a.Made.UnixNano(), b.Made.UnixNano()) })
	next := last.Mailed.Add(nextMail)
	if isOpen(last, now) && last.BrowserSessionEnds.After(next) {
		next = last.BrowserSessionEnds
	}
	switch {
	case last.Mailed.IsZero():
		return gate.Invited{
			Told:   "You have been given a link to set it up, good until " + gate.Clock(last.Ends) + ". Open it and follow the page" + again(inGrace) + ".",
			Reason: "a link that an admin handed over is good until " + last.Ends.UTC().Format(time.RFC3339),
		}, true
	case !inGrace && !now.Before(next) || last.Mailed.Sub(now) > nextMail:
		// The latter is from a clock that was wrong.
		return gate.Invited{}, false
	}
	have = gate.Invited{
		Told: fmt.Sprintf("A link to set it up was mailed to %s at %s. Open it and follow the page%s.",
			deliver.MaskEmail(person.Email), gate.Clock(last.Mailed), again(inGrace)),
		Reason: "a link was mailed " + last.Mailed.UTC().Format(time.RFC3339),
	}
	if !inGrace {
		have.Told += " If it has not come, another one can be mailed after " + gate.Clock(next) + "."
	}
	return have, true
}

func again(inGrace bool) string {
	if inGrace {
		return ""
	}
	return ", then log in again"
}

// readyLinks are the person's that are good.
func (i Invitations) readyLinks(ctx context.Context, person account.Person) (ready []ledger.Invitation, err error) {
	links, err := i.linksOf(ctx, person.User)
	for _, link := range links {
		if stateWith(link.Invitation, person, i.now()) == Ready {
			ready = append(ready, link.Invitation)
		}
	}
	return ready, err
}

// countMail counts a mail before it goes out, so that nobody can have one person sent any
// number of them. until is set if it must not go out yet. What a client may not have sent
// any more costs the person nothing.
func (i Invitations) countMail(ctx context.Context, user string) (until time.Time, err error) {
	index, err := i.People.Ledger.View(ctx, personKey(user))
	if err != nil {
		return until, err
	}
	if _, until = i.mayMail(index); !until.IsZero() {
		return until, nil
	}
	if until, err = i.People.CountClientSend(ctx); err != nil || !until.IsZero() {
		return until, err
	}
	err = i.People.Ledger.Update(ctx, personKey(user), func(entry *ledger.Entry) error {
		var count int
		if count, until = i.mayMail(*entry); until.IsZero() {
			entry.Sends = ledger.Sends{Count: count + 1, Last: i.now().Truncate(time.Second)}
		}
		return nil
	})
	return until, err
}

// mayMail says how many mails count, and until when there may be no further one: several
// logins at once have one mailed.
func (i Invitations) mayMail(index ledger.Entry) (count int, until time.Time) {
	if count, until = i.People.SentLately(index); !until.IsZero() {
		return count, until
	}
	if since := i.now().Sub(index.Sends.Last); since >= 0 && since < mailing {
		return count, index.Sends.Last.Add(mailing)
	}
	return count, time.Time{}
}
