package selfservice

import (
	"context"
	"errors"
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

// wrongCodes is how many wrong first codes a key gets.
const wrongCodes = 5

// Add makes a key for a new device, which counts once Confirm has its first code. One that
// was shown before and not confirmed is dropped.
func (s Service) Add(ctx context.Context, browser BrowserSession, name string) (invitation.Setup, error) {
	v, err := s.open(ctx, browser)
	if err != nil {
		return invitation.Setup{}, err
	}
	var setup invitation.Setup
	err = v.change(ctx, func(person *account.Person) error {
		if err := v.dropShown(ctx, person); err != nil {
			return err
		}
		if err := isFree(*person, name); err != nil {
			return err
		}
		if len(person.Factors) >= account.MaxFactors {
			return ErrTooMany
		}
		setup, err = v.showKey(ctx, person, name)
		return err
	})
	return setup, err
}

// dropShown takes from the person what this browser session showed, and what earlier ones did that
// are over: the page shows nobody a device that was never confirmed, so that no other way
// frees its name.
func (v *openSession) dropShown(ctx context.Context, person *account.Person) error {
	invitation.DropKey(person, v.link.Key)
	index, err := v.People.Ledger.View(ctx, invitation.PersonKey(person.User))
	if err != nil {
		return err
	}
	for _, link := range index.Links {
		entry, err := v.People.Ledger.View(ctx, ledger.Key{Kind: ledger.Link, Name: link.Name})
		if err != nil {
			return err
		}
		if one := entry.Invitation; one.Purpose == purpose && one.Key != "" && !isOpen(one, v.now()) {
			invitation.DropKey(person, one.Key)
		}
	}
	return nil
}

// isFree says why a device cannot be called that.
func isFree(person account.Person, name string) error {
	switch {
	case account.CheckID(name) != nil:
		return ErrBadName
	case slices.ContainsFunc(person.Factors, func(f account.Factor) bool { return f.ID == name }):
		return ErrTakenName
	}
	return nil
}

// showKey puts an unconfirmed device into the person's file.
func (v *openSession) showKey(ctx context.Context, person *account.Person, name string) (invitation.Setup, error) {
	f := enrollment.NewFactor(name, v.People.Config.TOTP)
	if _, err := admin.Put(v.place().Path, person, f, false); err != nil {
		return invitation.Setup{}, err
	}
	err := v.goOn(ctx, func(link *ledger.Invitation) {
		link.Factor, link.Key, link.Wrong = name, factor.Fingerprint(person.User, f), 0
	})
	if err != nil {
		return invitation.Setup{}, err
	}
	return v.links().SetupOf(*person, f, "", v.link.BrowserSessionEnds)
}

// Shown gives what Add gave, for as long as that is good. It changes nothing.
func (s Service) Shown(ctx context.Context, browser BrowserSession) (invitation.Setup, error) {
	v, err := s.open(ctx, browser)
	if err != nil {
		return invitation.Setup{}, err
	}
	at, err := v.shown(v.person)
	if err != nil {
		return invitation.Setup{}, err
	}
	return v.links().SetupOf(v.person, v.person.Factors[at], "", v.link.BrowserSessionEnds)
}

// shown finds the device that was shown last.
func (v *openSession) shown(person account.Person) (at int, err error) {
	at, err = invitation.Shown(person, v.link)
	if errors.Is(err, invitation.ErrSessionEnded) {
		err = ErrNotFound // the browser session goes on
	}
	return at, err
}

// Confirm makes the device that was shown count, if the code is its first one.
func (s Service) Confirm(ctx context.Context, browser BrowserSession, first string) error {
	v, err := s.open(ctx, browser)
	if err != nil {
		return err
	}
	c := confirming{openSession: v, first: first}
	if err = v.change(ctx, func(person *account.Person) error { return c.confirm(ctx, person) }); err != nil {
		return err
	}
	if c.fresh != nil {
		return invitation.NewKeyError{Setup: *c.fresh}
	}
	v.changed(say("added", "name", c.id))
	return nil
}

// confirming is one Confirm. The person's file is locked while it works.
type confirming struct {
	*openSession
	first string
	id    string            // of the device that counts
	fresh *invitation.Setup // after too many wrong codes
}

func (c *confirming) confirm(ctx context.Context, person *account.Person) error {
	at, err := c.shown(*person)
	if err != nil {
		return err
	}
	f := person.Factors[at]
	entry, err := enrollment.SpendFirst(ctx, c.People.Ledger, c.People.Config, c.now(), *person, f, c.first)
	if err != nil {
		return c.wrong(ctx, person, f, err)
	}
	// Whatever else was confirmed meanwhile has another name: there is nothing to replace.
	// No recovery codes come with it: they are codes like those of the device, and would be
	// good at once for what takes one of before the browser session.
	recovery := person.Recovery
	c.id = enrollment.Confirm(person, at, entry, c.now()).Factor.ID
	person.Recovery = recovery
	return nil
}

// wrong counts a wrong first code. After too many of them there is a new key. Any other
// error is returned as it is.
func (c *confirming) wrong(ctx context.Context, person *account.Person, f account.Factor, err error) error {
	code, ok := errors.AsType[enrollment.WrongCodeError](err)
	if !ok || code.Malformed {
		return err
	}
	wrong := 0
	counted := c.goOn(ctx, func(link *ledger.Invitation) {
		link.Wrong++
		wrong = link.Wrong
	})
	if counted != nil || wrong < wrongCodes {
		return errors.Join(counted, err)
	}
	invitation.DropKey(person, c.link.Key)
	fresh, err := c.showKey(ctx, person, f.ID)
	if err == nil {
		c.fresh = &fresh
	}
	return err
}

// Rename gives a device another name. What was used of it stays used.
func (s Service) Rename(ctx context.Context, browser BrowserSession, id, name string) error {
	v, err := s.open(ctx, browser)
	if err != nil {
		return err
	}
	err = v.change(ctx, func(person *account.Person) error {
		if !counts(*person, id) {
			return ErrNotFound
		}
		if err := isFree(*person, name); err != nil {
			return err
		}
		person.Factors = slices.Clone(person.Factors)
		for i, f := range person.Factors {
			if f.ID != id {
				continue
			}
			if err := f.Unreadable(); err != nil {
				return err // it is encrypted under its name
			}
			person.Factors[i].ID, person.Factors[i].Encrypted = name, ""
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.changed(say("renamed", "name", id, "new", name))
	return nil
}

// counts says whether the person has a device of that name that counts.
func counts(person account.Person, id string) bool {
	return slices.ContainsFunc(person.Confirmed(), func(f account.Factor) bool { return f.ID == id })
}

// Remove takes a device away, for a fresh code of one that is older than the browser session, also of
// that one.
// Recovery codes go with the last one.
func (s Service) Remove(ctx context.Context, browser BrowserSession, id, code string) error {
	v, err := s.open(ctx, browser)
	if err != nil {
		return err
	}
	// Who cannot remove it should not lose a code.
	mustHave := s.mustHave(v.person.User)
	if err := mayRemove(v.person, id, mustHave); err != nil {
		return err
	}
	if err := v.proveAgain(ctx, code); err != nil {
		return err
	}
	err = v.change(ctx, func(person *account.Person) error {
		if err := mayRemove(*person, id, mustHave); err != nil {
			return err
		}
		person.Factors = slices.DeleteFunc(slices.Clone(person.Factors), func(f account.Factor) bool { return f.ID == id })
		if len(person.Confirmed()) == 0 {
			person.Recovery = account.Recovery{}
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.changed(say("removed", "name", id))
	return nil
}

// mayRemove says why a device must stay.
func mayRemove(person account.Person, id string, mustHave bool) error {
	if !counts(person, id) {
		return ErrNotFound
	}
	others := slices.ContainsFunc(person.Confirmed(), func(f account.Factor) bool { return f.ID != id })
	if !others && mustHave {
		return ErrLast
	}
	return nil
}

// NewRecovery makes new recovery codes, for such a code. The old ones are worthless then.
// These can be shown this once.
func (s Service) NewRecovery(ctx context.Context, browser BrowserSession, code string) (codes []string, err error) {
	v, err := s.open(ctx, browser)
	if err != nil {
		return nil, err
	}
	if err := v.proveAgain(ctx, code); err != nil {
		return nil, err
	}
	err = v.change(ctx, func(person *account.Person) error {
		codes, person.Recovery = factor.NewRecovery(person.User)
		return nil
	})
	if err != nil {
		return nil, err
	}
	v.changed(say("recovery"))
	return codes, nil
}
