// Package selfservice lets people who are enrolled look after what is theirs on the page:
// devices, recovery codes, remembered logins and their last logins.
//
// The entry point is [Service]: Ask mails a link to whoever has a name, Look says what has
// become of one, Enter opens a browser session by the link and a code, Show shows what is the
// person's, and the other methods change it. It promises that nobody gets in by a link
// alone, nor by a code that was sent to the same mailbox; that a browser session ends after a quarter
// of an hour, and as soon as somebody else changes the person's devices, recovery codes or address; that nobody who
// must have a device removes the last one; that nothing which was added in a browser session is
// good for removing what was there before; that wrong codes count as everywhere; and that
// the person is told of each change by mail.
package selfservice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Service is that of a gate's people. Every field but the last must be set.
type Service struct {
	People admin.People
	// Random is where links come from: rand.Reader of crypto/rand.
	Random io.Reader
	// Later does what is behind the answers.
	Later Later
	// LinksPerHour is what tests have in the place of [gate.LinksPerHour].
	LinksPerHour int
}

const (
	// purpose is that of the links, which no invitation has.
	purpose = admin.ManagePurpose
	// linkTime is how long a link is good, sessionTime a browser session.
	linkTime    = time.Hour
	sessionTime = 15 * time.Minute
	// keptFor is how long after its end a link is known, with the browser session by it.
	keptFor = time.Hour
	// uncountTime is how long the ledger is waited for where a link is not mailed after all.
	uncountTime = 10 * time.Second
	// by is what the log says of whoever comes this way, and rule of what it is about.
	by   = "self-service"
	rule = "manage"
)

// Why something is refused, beside what invitations have.
var (
	// ErrNoDevice is of somebody whose codes are all sent.
	ErrNoDevice = errors.New("the person has no device and no recovery code: codes that are sent show only who reads the mail")
	// ErrNotFound is of what is not there any more.
	ErrNotFound = errors.New("there is no such device or login any more")
	// ErrBadName and ErrTakenName are of a device's name, ErrTooMany of one more device.
	ErrBadName   = errors.New("no device can have this name")
	ErrTakenName = errors.New("another device has this name")
	ErrTooMany   = errors.New("the person has as many devices as there may be")
	// ErrYoungDevice is of a code of a device that was added in the same browser session.
	ErrYoungDevice = errors.New("a code of a device that is younger than the browser session")
	// ErrLast is of the last device of somebody who must have one.
	ErrLast = errors.New("the last device of somebody of whom the policy requires a code")
)

func (s Service) now() time.Time { return s.People.Now().UTC() }

func (s Service) links() invitation.Invitations {
	return invitation.Invitations{People: s.People, Random: s.Random}
}

func (s Service) place() gate.Place { return gate.PlaceOf(s.People.Config) }

// stateOf is what has become of a link, whoever's.
func stateOf(link ledger.Invitation, now time.Time) invitation.State {
	switch {
	case link.Purpose != purpose:
		return invitation.Unknown
	case !link.Done.IsZero():
		return invitation.Used
	case !link.Cancelled.IsZero():
		return invitation.Cancelled
	case !now.Before(link.Ends):
		return invitation.Expired
	}
	return invitation.Ready
}

// IsOpen says whether a link, or the browser session by it, is good as far as the ledger knows.
func IsOpen(link ledger.Invitation, now time.Time) bool {
	return stateOf(link, now) == invitation.Ready || isOpen(link, now)
}

func isOpen(link ledger.Invitation, now time.Time) bool {
	return link.Purpose == purpose && !link.Done.IsZero() && link.Cancelled.IsZero() && now.Before(link.BrowserSessionEnds)
}

// canEnter says why somebody cannot enter, whatever the code. A code that was sent shows
// only who reads the mail, as the link does.
func canEnter(person account.Person, entry ledger.Entry) error {
	switch {
	case !person.Enabled:
		return invitation.ErrDisabled
	case len(person.Confirmed()) == 0:
		return ErrNoDevice
	case slices.ContainsFunc(person.Confirmed(), func(f account.Factor) bool { return !f.Kind.IsSent() }):
		return nil
	case factor.RecoveryLeft(person, entry) == 0:
		return ErrNoDevice
	}
	return nil
}

// load reads somebody's secret file.
func (s Service) load(user string) (account.Person, error) {
	person, err := s.People.Accounts.Load(user)
	if errors.Is(err, account.ErrNotFound) {
		return person, invitation.ErrRemoved
	}
	return person, err
}

// prove uses up a code of the person's, and says how it was proven.
func (s Service) prove(ctx context.Context, person account.Person, remote, code string) (gate.Proof, error) {
	proof, err := s.People.Prove(ctx, person, remote, code)
	switch {
	case err != nil:
		return proof, err
	case proof.Outcome == factor.Right:
		return proof, nil
	case proof.Malformed:
		return proof, invitation.ErrCurrent
	}
	s.People.Audit.Write(audit.Record{User: person.User, Remote: remote, Verdict: "denied", Rule: "code", By: by, Reason: "no right code"})
	switch {
	case !proof.LockedUntil.IsZero():
		return proof, invitation.LockedError{Until: proof.LockedUntil}
	case proof.Outcome == factor.Used:
		return proof, invitation.ErrCurrentUsed
	}
	return proof, invitation.ErrCurrent
}

// openSession is one request of a browser that entered.
type openSession struct {
	Service
	token  string
	key    ledger.Key
	hashed string
	from   BrowserSession
	remote string
	link   ledger.Invitation
	person account.Person
}

// BrowserSession is what a browser has, where it comes from, and the tag of the language in which
// the page speaks to it.
type BrowserSession struct{ Token, Remote, Language string }

// open finds the browser session of a browser, which must be good.
func (s Service) open(ctx context.Context, browser BrowserSession) (*openSession, error) {
	key, hashed, known := invitation.ParseSession(browser.Token)
	link, err := s.links().Find(ctx, key, known, browser.Remote, purpose)
	if err != nil {
		return nil, err
	}
	v := &openSession{Service: s, token: browser.Token, key: key, hashed: hashed, from: browser, remote: browser.Remote, link: link}
	if err := v.isMine(link); err != nil {
		return nil, err
	}
	if v.person, err = s.load(link.User); err != nil {
		return nil, err
	}
	return v, v.check(link, v.person)
}

// isMine says whether a link is open for this browser.
func (v *openSession) isMine(link ledger.Invitation) error {
	if !isOpen(link, v.now()) || !invitation.Same(link.BrowserSession, v.hashed) {
		return invitation.ErrSessionEnded
	}
	return nil
}

// check says why the browser session is over, in the light of what the person has become since.
func (v *openSession) check(link ledger.Invitation, person account.Person) error {
	switch {
	case v.isMine(link) != nil:
		return invitation.ErrSessionEnded
	case !person.Enabled:
		return invitation.ErrDisabled
	case link.Of != standingOf(person):
		return invitation.ErrOvertaken
	}
	return nil
}

// change changes the person's secret file, and has the browser session go on with the person as that
// is then. Killed in between, the browser session is over.
func (v *openSession) change(ctx context.Context, change func(*account.Person) error) error {
	dir, err := v.place().Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	var after account.Person
	err = dir.Change(v.person.User, func(person *account.Person) error {
		if err := ctx.Err(); err != nil {
			return err // it ended while the file's lock was waited for
		}
		if _, err := dir.Load(v.person.User); errors.Is(err, account.ErrNotFound) {
			return invitation.ErrRemoved
		}
		entry, err := v.People.Ledger.View(ctx, v.key)
		if err != nil {
			return fmt.Errorf("find the link: %w", err)
		}
		if err := v.check(entry.Invitation, *person); err != nil {
			return err
		}
		v.link = entry.Invitation
		if err := change(person); err != nil {
			return err
		}
		after = *person
		return nil
	})
	placed, isPlaced := errors.AsType[safefile.PlacedError](err)
	if err != nil && !isPlaced {
		return err
	}
	if isPlaced {
		v.log("fault", placed.Error())
	}
	// It is done, whatever becomes of the browser session.
	err = v.goOn(context.WithoutCancel(ctx), func(link *ledger.Invitation) { link.Of = standingOf(after) })
	if err != nil && !errors.Is(err, invitation.ErrSessionEnded) {
		v.log("fault", err.Error())
	}
	return nil
}

// goOn changes what the ledger knows of the browser session, unless that is over.
func (v *openSession) goOn(ctx context.Context, change func(*ledger.Invitation)) error {
	return v.People.Ledger.Update(ctx, v.key, func(entry *ledger.Entry) error {
		if err := v.isMine(entry.Invitation); err != nil {
			return err
		}
		change(&entry.Invitation)
		return nil
	})
}

func (v *openSession) log(verdict, reason string) {
	v.People.Audit.Write(audit.Record{User: v.person.User, Remote: v.remote, Verdict: verdict, Rule: rule, By: by, Reason: reason})
}

// changed logs a change, and tells the person of it.
func (v *openSession) changed(what ...sentence) {
	v.log("changed", english(what...))
	v.tell(what...)
}

// tell mails the person what was done, in the language of the page.
func (v *openSession) tell(what ...sentence) {
	v.mail(deliver.Message{Email: v.person.Email, Change: inLanguage(v.from.Language, what...), Language: v.from.Language})
}

// mail sends a message about a change behind the answer: a mail server that is slow, or
// away, undoes nothing.
func (v *openSession) mail(message deliver.Message) {
	if message.Email == "" || v.People.Sender == nil {
		return
	}
	message.Channel, message.User, message.Host, message.Remote, message.At = deliver.Email, v.person.User, v.People.Host, v.remote, v.now()
	notSent := func(err error) { v.log("not-sent", err.Error()) }
	v.Later.Change(Job{Of: "user " + v.person.User, Lost: notSent, Do: func(ctx context.Context) {
		if _, err := v.People.Sender.Send(ctx, message); err != nil {
			notSent(err)
		}
	}})
}
