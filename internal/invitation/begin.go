package invitation

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/otpauth"
)

// Page is what a GET of a link may show.
type Page struct {
	State State
	// At is when that came about: the link was used or cancelled, or ends or ended.
	At time.Time
	// Name is the person's login name, masked.
	Name string
}

// Look says what has become of a link. It changes nothing and counts nothing: mail
// servers and scanners open links, as often as they like.
func (i Invitations) Look(ctx context.Context, link string) (Page, error) {
	key, known := keyOf(link)
	if !known {
		return Page{}, nil
	}
	entry, err := i.People.Ledger.View(ctx, key)
	if err != nil {
		return Page{}, err
	}
	one := entry.Invitation
	if one.Purpose != enroll {
		return Page{}, nil
	}
	page := Page{At: one.Ends, Name: deliver.MaskName(one.User)}
	page.State, err = i.stateNow(one, i.now())
	switch page.State {
	case Used:
		page.At = one.Done
	case Cancelled:
		page.At = one.Cancelled
	}
	return page, err
}

// Setup is what a person needs to set up a device. All but ID to Needs is secret: it
// is for that browser alone, and for no log.
type Setup struct {
	// BrowserSession is what the browser must send with what follows.
	BrowserSession string
	// URI is for the app, as a QR code or to tap; Key is the same to type, in groups.
	URI, Key string
	ID       string
	Digits   int
	Period   int
	// Algorithm is that of the codes.
	Algorithm string
	// Needs says that a code of a device that counts is needed beside the first one.
	Needs bool
	// Ends is until when.
	Ends time.Time
}

// Begin makes a key for whoever pressed the button of a link, and has the one that it
// made for an earlier browser be good no longer.
func (i Invitations) Begin(ctx context.Context, link, remote string) (Setup, error) {
	key, known := keyOf(link)
	seen, err := i.findReady(ctx, key, known, remote)
	if err != nil {
		return Setup{}, err
	}
	secret, err := newSecret(i.Random)
	if err != nil {
		return Setup{}, err
	}
	var setup Setup
	err = i.good(ctx, key, seen.User, func(person *account.Person, one ledger.Invitation) error {
		now := i.now()
		one.BrowserSessionEnds = earlier(now.Add(sessionTime), one.Ends)
		f, err := i.showKey(person, one)
		if err != nil {
			return err
		}
		if setup, err = i.setup(*person, f, one, sessionOf(key, secret)); err != nil {
			return err
		}
		return i.change(ctx, key, anySession, func(changed *ledger.Invitation) {
			if changed.Opened.IsZero() {
				changed.Opened = now
			}
			changed.BrowserSession, changed.BrowserSessionEnds = hash(secret), one.BrowserSessionEnds
			changed.Key, changed.Wrong = factor.Fingerprint(person.User, f), 0
		})
	})
	if err != nil {
		return Setup{}, err
	}
	i.People.Audit.Write(audit.Record{User: seen.User, Remote: remote, Verdict: "opened", Rule: "totp:" + setup.ID, By: byLink})
	return setup, nil
}

func anySession(ledger.Invitation) error { return nil }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// showKey puts an unconfirmed factor into the person's file, in the place of the one
// that the invitation had before.
func (i Invitations) showKey(person *account.Person, one ledger.Invitation) (account.Factor, error) {
	dropKey(person, one.Key)
	id := one.Factor
	if !one.Replace {
		id = freeID(*person, id)
	}
	f := enrollment.NewFactor(id, i.People.Config.TOTP)
	_, err := admin.Put(i.place().Path, person, f, one.Replace && counts(*person, id))
	return f, err
}

func counts(person account.Person, id string) bool {
	return slices.ContainsFunc(person.Confirmed(), func(f account.Factor) bool { return f.ID == id })
}

// freeID is the id, or one like it that no device has which counts.
func freeID(person account.Person, id string) string {
	free := id
	for n := 2; counts(person, free); n++ {
		number := "-" + strconv.Itoa(n)
		free = id[:min(len(id), 32-len(number))] + number
	}
	return free
}

func (i Invitations) setup(person account.Person, f account.Factor, one ledger.Invitation, session string) (Setup, error) {
	issuer, err := otpauth.Issuer(i.People.Config.TOTP.Issuer)
	if err != nil {
		return Setup{}, err
	}
	return Setup{
		BrowserSession: session, URI: otpauth.URI(issuer, person.User, f), Key: otpauth.Grouped(f.Secret.Base32()),
		ID: f.ID, Digits: f.Digits, Period: f.Period, Algorithm: f.Algorithm,
		Needs: needs(person, one), Ends: one.BrowserSessionEnds,
	}, nil
}

// needs says whether a code of what counts already is needed.
func needs(person account.Person, one ledger.Invitation) bool {
	return !one.Replace && len(person.Confirmed()) > 0
}

// Resume gives what Begin gave, for as long as that is good. It changes nothing.
func (i Invitations) Resume(ctx context.Context, session, remote string) (Setup, error) {
	key, hashed, known := parseSession(session)
	one, err := i.findReady(ctx, key, known, remote)
	if err != nil {
		return Setup{}, err
	}
	person, err := i.People.Accounts.Load(one.User)
	if errors.Is(err, account.ErrNotFound) {
		return Setup{}, ErrRemoved
	}
	if err != nil {
		return Setup{}, err
	}
	if state := stateWith(one, person, i.now()); state != Ready {
		return Setup{}, state.err()
	}
	if err := checkSession(one, hashed, i.now()); err != nil {
		return Setup{}, err
	}
	at, err := shown(person, one)
	if err != nil {
		return Setup{}, err
	}
	return i.setup(person, person.Factors[at], one, session)
}

// checkSession says whether a browser is the last one that opened the link.
func checkSession(one ledger.Invitation, hashed string, now time.Time) error {
	switch {
	case one.BrowserSession == "" || !same(one.BrowserSession, hashed):
		return ErrOpenedAgain
	case !now.Before(one.BrowserSessionEnds):
		return ErrSessionEnded
	}
	return nil
}

// shown finds the factor whose key the browser was shown.
func shown(person account.Person, one ledger.Invitation) (at int, err error) {
	for at, f := range person.Factors {
		if isShown(person, f, one.Key) {
			return at, nil
		}
		if f.Confirmed.IsZero() {
			err = errors.Join(err, f.Unreadable())
		}
	}
	if err == nil {
		err = ErrSessionEnded
	}
	return 0, err
}
