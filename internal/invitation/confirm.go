package invitation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Answer is what a browser sends.
type Answer struct {
	BrowserSession string
	// First is a code of the new device, Current one of a device that counts, or a
	// recovery code, where the Setup says so.
	First, Current string
	Remote         string
}

// Enrolled is what became of it. Its RecoveryCodes can be shown this once.
type Enrolled struct {
	enrollment.Confirmation
	User string
	// Unseen is how many wrong codes the person had not been told of.
	Unseen int
}

// Confirm makes the device of a browser session count if the codes are right, and the link used.
//
// Both codes are used up first, then the link, and the secret file is written last:
// whatever stops it on the way, no code and no link is good twice. A link is given
// back if the file could not be written, so that a full disk costs nobody the link.
// Once ctx has ended no link is used. Whoever's device counts is told so, and gets the
// recovery codes, also where the disk does not say that it keeps the file.
func (i Invitations) Confirm(ctx context.Context, answer Answer) (Enrolled, error) {
	key, hashed, known := parseSession(answer.BrowserSession)
	seen, err := i.findReady(ctx, key, known, answer.Remote)
	if err != nil {
		return Enrolled{}, err
	}
	c := confirming{Invitations: i, answer: answer, key: key, session: hashed}
	err = i.good(ctx, key, seen.User, func(person *account.Person, one ledger.Invitation) error {
		return c.confirm(ctx, person, one)
	})
	if placed, ok := errors.AsType[safefile.PlacedError](err); ok && !c.used.IsZero() {
		c.how, err = strings.TrimPrefix(c.how+"; "+placed.Error(), "; "), nil
	}
	if errors.Is(err, account.ErrUnclear) {
		return Enrolled{}, err // the device may count yet
	}
	if err != nil && !c.used.IsZero() {
		return Enrolled{}, errors.Join(err, c.giveBack(ctx, seen.User))
	}
	if err == nil && c.fresh != nil {
		err = NewKeyError{*c.fresh}
	}
	if err != nil {
		return Enrolled{}, err
	}
	f := c.done.Factor
	i.People.Audit.Write(audit.Record{
		User: seen.User, Remote: answer.Remote, Verdict: "enrolled", Rule: string(f.Kind) + ":" + f.ID, By: byLink, Reason: c.how,
	})
	return c.done, nil
}

// confirming is one Confirm. The person's file is locked while it works.
type confirming struct {
	Invitations
	answer  Answer
	key     ledger.Key
	session string // the hash
	shown   string // the fingerprint

	used  time.Time // when the link was
	done  Enrolled
	how   string // for the log
	fresh *Setup // after too many wrong codes
}

func (c *confirming) confirm(ctx context.Context, person *account.Person, one ledger.Invitation) error {
	now := c.now()
	if err := checkSession(one, c.session, now); err != nil {
		return err
	}
	at, err := shown(*person, one)
	if err != nil {
		return err
	}
	f := person.Factors[at]
	c.shown = one.Key
	if needs(*person, one) {
		if err := c.current(ctx, *person, f, now); err != nil {
			return c.wrong(ctx, person, err)
		}
	}
	entry, err := enrollment.SpendFirst(ctx, c.People.Ledger, c.People.Config, now, *person, f, c.answer.First)
	if err != nil {
		return c.wrong(ctx, person, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.useLink(ctx, now); err != nil {
		return err
	}
	c.done.User, c.done.Confirmation = person.User, enrollment.Confirm(person, at, entry, now)
	return nil
}

// useLink has the link be used. Where the ledger fails and may have kept that, it is given
// back like one whose file could not be written: nothing counts by it.
func (c *confirming) useLink(ctx context.Context, now time.Time) error {
	same := func(one ledger.Invitation) error {
		c.used = time.Time{} // a ledger may ask more than once
		return c.sameSession(one)
	}
	err := c.change(ctx, c.key, same, func(changed *ledger.Invitation) { changed.Done, c.used = now, now })
	if refused(err) {
		c.used = time.Time{}
	}
	return err
}

// sameSession refuses an invitation that was opened again meanwhile, on another server.
func (c *confirming) sameSession(one ledger.Invitation) error {
	if one.Key != c.shown {
		return ErrOpenedAgain
	}
	return checkSession(one, c.session, c.now())
}

// current uses up a code of what counts. The first code of the new device must be right:
// whoever mistypes that should not have to wait for the old one's next code.
func (c *confirming) current(ctx context.Context, person account.Person, f account.Factor, now time.Time) error {
	entry, err := c.People.Ledger.View(ctx, ledger.UserKey(person.User))
	if err != nil {
		return err
	}
	if factor.Verify(person.User, f, c.People.Config, c.answer.First, now, &entry) != factor.Right {
		if _, err = enrollment.SpendFirst(ctx, c.People.Ledger, c.People.Config, now, person, f, c.answer.First); err == nil {
			err = ErrCurrent // it became right meanwhile, and is used up
		}
		return err
	}
	proof, err := c.People.Prove(ctx, person, c.answer.Remote, c.answer.Current)
	switch {
	case err != nil:
		return err
	case proof.Outcome == factor.Right:
		c.done.Unseen, c.how = proof.Unseen, "with a code of "+proof.Rule
		return nil
	case proof.Malformed:
		return ErrCurrent
	}
	c.People.Audit.Write(audit.Record{User: person.User, Remote: c.answer.Remote, Verdict: "denied", Rule: "code", By: byLink, Reason: "no right current code"})
	switch {
	case !proof.LockedUntil.IsZero():
		return LockedError{proof.LockedUntil}
	case proof.Outcome == factor.Used:
		return ErrCurrentUsed
	}
	return ErrCurrent
}

// wrong counts a wrong first code. After too many of them there is a new key: somebody
// may have set up another one. Any other error is returned as it is.
func (c *confirming) wrong(ctx context.Context, person *account.Person, err error) error {
	code, ok := errors.AsType[enrollment.WrongCodeError](err)
	if !ok || code.Malformed {
		return err
	}
	var after ledger.Invitation
	counted := c.change(ctx, c.key, c.sameSession, func(changed *ledger.Invitation) {
		changed.Wrong++
		after = *changed
	})
	if counted != nil || after.Wrong < wrongCodes {
		return errors.Join(counted, err)
	}
	f, err := c.showKey(person, after)
	if err != nil {
		return err
	}
	fresh, err := c.setup(*person, f, after, c.answer.BrowserSession)
	if err != nil {
		return err
	}
	err = c.change(ctx, c.key, c.sameSession, func(changed *ledger.Invitation) {
		changed.Key, changed.Wrong = factor.Fingerprint(person.User, f), 0
	})
	if err == nil {
		c.fresh = &fresh
	}
	return err
}

// givingBack is how long the ledger is waited for to have a link be good again.
const givingBack = 5 * time.Second

// giveBack has the link be good again, if it is certain that the device does not count.
func (c *confirming) giveBack(ctx context.Context, user string) error {
	const spent = "the link is used up, and the device does not count: invite the person again"
	person, err := c.load(user)
	if err != nil {
		return fmt.Errorf("%s: %w", spent, err)
	}
	for _, f := range person.Confirmed() {
		if f.Unreadable() != nil || factor.Fingerprint(person.User, f) == c.shown {
			return nil
		}
	}
	// Whoever has waited for too long should not lose the link too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), givingBack)
	defer cancel()
	err = c.People.Ledger.Update(ctx, c.key, func(entry *ledger.Entry) error {
		if entry.Invitation.Done.Equal(c.used) && same(entry.Invitation.BrowserSession, c.session) {
			entry.Invitation.Done = time.Time{}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", spent, err)
	}
	return nil
}

func (i Invitations) load(user string) (account.Person, error) {
	dir, err := i.place().Open()
	if err != nil {
		return account.Person{}, err
	}
	defer dir.Close()
	return dir.Load(user)
}
