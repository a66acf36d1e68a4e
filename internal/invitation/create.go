package invitation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Wanted says who is invited to what.
type Wanted struct {
	User string // as the secret file is called
	// Factor is the id of the new device. Without Replace it gets another one if a
	// device that counts has it.
	Factor string
	// Replace has it take the place of the device with that id, and asks for no code
	// of one: the person has lost it.
	Replace bool
	// For is how long the link is good.
	For time.Duration
	// Mailed says that the link will be mailed, and not handed over.
	Mailed bool
}

// Created is a new invitation. Link is known to nobody else: it is for the person, and
// for no log.
type Created struct {
	Link string
	Ends time.Time
}

// Create invites somebody. Earlier links of the person are good no longer. A person
// without a secret file gets an empty one, so that one who is removed can be told.
func (i Invitations) Create(ctx context.Context, want Wanted) (Created, error) {
	if err := want.check(); err != nil {
		return Created{}, err
	}
	if err := i.place().CanWrite(); err != nil {
		return Created{}, err
	}
	person, err := i.person(want.User)
	if err != nil {
		return Created{}, err
	}
	if err := i.fits(ctx, want, person); err != nil {
		return Created{}, err
	}
	now := i.now()
	one := ledger.Invitation{
		User: want.User, Purpose: enroll, Factor: want.Factor, Replace: want.Replace, Of: gate.EnrollmentOf(person), Made: now, Ends: now.Add(want.For),
	}
	if want.Mailed {
		one.Mailed = now
	}
	link, earlier, err := i.make(ctx, one)
	if err == nil {
		err = i.endLinks(ctx, want.User, earlier, now, nobodys)
	}
	if err != nil {
		return Created{}, fmt.Errorf("invite %q: %w", want.User, err)
	}
	i.tellInvited(one)
	return Created{link, one.Ends}, nil
}

// Check says why the person cannot be invited to that, as Create does. It changes nothing.
func (i Invitations) Check(ctx context.Context, want Wanted) error {
	if err := want.check(); err != nil {
		return err
	}
	if err := i.place().CanWrite(); err != nil {
		return err
	}
	person, err := i.People.Accounts.Load(want.User)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return i.fits(ctx, want, person)
}

func (i Invitations) fits(ctx context.Context, want Wanted, person account.Person) error {
	err := want.fits(person)
	if err == nil {
		err = i.canProve(ctx, want, person)
	}
	if err != nil {
		return fmt.Errorf("user %q: %w", want.User, err)
	}
	return nil
}

func (i Invitations) tellInvited(one ledger.Invitation) {
	i.People.Audit.Write(audit.Record{
		User: one.User, Verdict: "invited", Rule: "totp:" + one.Factor, By: byLink, Reason: "until " + one.Ends.Format(time.RFC3339),
	})
}

// make makes a link beside the earlier ones of the person, and gives those.
func (i Invitations) make(ctx context.Context, one ledger.Invitation) (link string, earlier []ledger.InvitationLink, err error) {
	if link, err = newSecret(i.Random); err != nil {
		return "", nil, err
	}
	key, _ := keyOf(link)
	err = i.People.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
		if entry.Invitation != (ledger.Invitation{}) {
			return errors.New("a link was drawn twice: look at what this machine's random numbers come from")
		}
		entry.Invitation = one
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	// Behind the link, so that whoever invites at the same time finds both.
	err = i.People.Ledger.Update(ctx, personKey(one.User), func(entry *ledger.Entry) error {
		earlier = slices.Clone(entry.Links)
		entry.Links = append(entry.Links, ledger.InvitationLink{Name: key.Name, Ends: one.Ends})
		return nil
	})
	if err == nil {
		err = i.stillThere(ctx, one, key)
	}
	return link, earlier, err
}

// stillThere ends a link whose person is not there any more. Whoever removed, renamed or
// disabled the person meanwhile has ended the links that were there, and this is one now.
func (i Invitations) stillThere(ctx context.Context, one ledger.Invitation, key ledger.Key) error {
	person, err := i.People.Accounts.Load(one.User)
	switch {
	case errors.Is(err, account.ErrNotFound):
		err = ErrRemoved
	case err == nil && !person.Enabled:
		err = ErrDisabled
	}
	if err == nil {
		return nil
	}
	_, ending := i.cancel(context.WithoutCancel(ctx), ledger.InvitationLink{Name: key.Name}, i.now(), nobodys)
	return errors.Join(err, ending)
}

func (w Wanted) check() error {
	if err := account.CheckName(w.User); err != nil {
		return err
	}
	if err := account.CheckID(w.Factor); err != nil {
		return fmt.Errorf("device %q: %w", w.Factor, err)
	}
	if w.For < Shortest || w.For > Longest {
		return fmt.Errorf("an invitation for %v: expected %v to %v", w.For, Shortest, Longest)
	}
	return nil
}

// fits says why the person cannot be invited to that.
func (w Wanted) fits(person account.Person) error {
	if !person.Enabled {
		return ErrDisabled
	}
	var have []string
	devices := false
	for _, f := range person.Confirmed() {
		have = append(have, f.ID)
		devices = devices || !f.Kind.IsSent()
	}
	// Who replaces what is not there believes that the lost device counts no longer.
	if w.Replace && devices && !slices.Contains(have, w.Factor) {
		return admin.NothingToReplaceError{User: w.User, ID: w.Factor, Have: have}
	}
	return nil
}

// canProve refuses an invitation that needs a code which the person cannot give: one
// that is sent shows only who reads the mail, see [gate.Gate.Prove].
func (i Invitations) canProve(ctx context.Context, want Wanted, person account.Person) error {
	if want.Replace || len(person.Confirmed()) == 0 {
		return nil
	}
	if slices.ContainsFunc(person.Confirmed(), func(f account.Factor) bool { return !f.Kind.IsSent() }) {
		return nil
	}
	entry, err := i.People.Ledger.View(ctx, ledger.UserKey(person.User))
	if err == nil && factor.RecoveryLeft(person, entry) == 0 {
		err = ErrNoCurrent
	}
	return err
}

// person reads somebody's secret file, and makes it if there is none.
func (i Invitations) person(user string) (found account.Person, err error) {
	dir, err := i.place().Create()
	if err != nil {
		return found, err
	}
	defer dir.Close()
	if found, err = dir.Load(user); !errors.Is(err, account.ErrNotFound) {
		return found, err
	}
	err = dir.Change(user, func(person *account.Person) error {
		found = *person
		return nil
	})
	return found, err
}

// endLinks has links of one person be good no longer, but those that are spared. What
// they showed goes with them.
func (i Invitations) endLinks(ctx context.Context, user string, links []ledger.InvitationLink, now time.Time, spared func(ledger.Invitation) bool) error {
	var keys []string
	for _, old := range links {
		was, err := i.cancel(ctx, old, now, spared)
		if err != nil {
			return err
		}
		if was.Key != "" && !spared(was) {
			keys = append(keys, was.Key)
		}
	}
	if err := i.dropKeys(user, keys); err != nil {
		return err
	}
	return i.forget(ctx, user, links, now)
}
