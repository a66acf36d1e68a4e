package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// ErrWaiting is wrapped by the error for an enrollment that would take the
// place of one that waits for its first code.
var ErrWaiting = errors.New("it waits for its first code already")

// Prepared is an enrollment that an admin has made up beforehand.
type Prepared struct {
	User    string
	Changes Changes
	// Factor is what is enrolled. If Confirmed is set it counts at once: the
	// admin vouches that the person has it.
	Factor    account.Factor
	Confirmed bool
	// Made says that the secret is a new one that nobody has asked for, so that
	// any other is as good.
	Made bool
	// Replace has it take the place of a factor with the same id, also of one
	// that waits for its first code. There must be one.
	Replace bool
	// Recovery says that recovery codes can be shown, so that they are made
	// for a person who counts as enrolled from now on and has none.
	Recovery bool
}

// EnrollPrepared writes an enrollment into the person's secret file, all of it
// or nothing. A factor with the same id, also one that waits for its first
// code, is in the way unless Replace is set: so doing the same again does no
// harm to somebody who has got the first secret. What is there already, confirmed
// and with the same data, is an error too, ErrAsBefore, and what waits with the
// same data ErrToConfirm.
func (g People) EnrollPrepared(ctx context.Context, p Prepared) (enrollment.Confirmation, error) {
	if err := account.CheckName(p.User); err != nil {
		return enrollment.Confirmation{}, err
	}
	dir, err := gate.PlaceOf(g.Config).Create()
	if err != nil {
		return enrollment.Confirmation{}, err
	}
	defer dir.Close()
	var done enrollment.Confirmation
	err = dir.Change(p.User, func(person *account.Person) error {
		if err := p.put(person); err != nil {
			return err
		}
		done = enrollment.Confirmation{Factor: p.Factor, Disabled: !person.Enabled, Beside: enrollment.Beside(*person, p.Factor.ID)}
		if !p.Confirmed {
			return nil
		}
		entry, err := g.Ledger.View(ctx, ledger.UserKey(person.User))
		if err != nil {
			return err
		}
		done = p.confirm(person, entry, g.Now())
		return nil
	})
	if err != nil {
		return enrollment.Confirmation{}, err
	}
	return done, nil
}

// CheckPrepared says what EnrollPrepared would fail with, and changes nothing.
func (g People) CheckPrepared(p Prepared) error {
	if err := gate.PlaceOf(g.Config).CanWrite(); err != nil {
		return err
	}
	person, err := g.Accounts.Load(p.User)
	// The directory itself may be missing too; the first enrollment makes it.
	if errors.Is(err, account.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		person, err = account.Person{Version: 1, User: p.User, Enabled: true}, nil
	}
	if err != nil {
		return err
	}
	if err := p.put(&person); err != nil {
		return err
	}
	if p.Confirmed {
		p.confirm(&person, ledger.Entry{}, g.Now())
	}
	return account.Check(person)
}

// put makes the enrollment part of the person, not confirmed yet.
func (p Prepared) put(person *account.Person) error {
	if !p.Replace {
		if err := errors.Join(p.checkSame(*person), p.waitsAlready(*person)); err != nil {
			return err
		}
	}
	if err := p.inTheWay(*person); err != nil {
		return err
	}
	if _, err := p.Changes.Apply(person); err != nil {
		return err
	}
	if address := addressMissing(*person, p.Factor.Kind); address != "" {
		return fmt.Errorf("user %q: %w: %s", p.User, ErrNoAddress, address)
	}
	person.Factors = slices.DeleteFunc(slices.Clone(person.Factors), func(old account.Factor) bool {
		return old.ID == p.Factor.ID && old.Confirmed.IsZero()
	})
	person.Factors = append(person.Factors, p.Factor)
	return nil
}

// inTheWay says which factor of the person's does not let this one be put in.
func (p Prepared) inTheWay(person account.Person) error {
	// What waits is in the way of this one, as it is not of Enroll's, so that it
	// may be what is to be replaced.
	if p.Replace && !hasFactor(person, p.Factor.ID) {
		if err := replaceable(person, p.Factor.ID); err != nil {
			return err
		}
	}
	for _, old := range person.Factors {
		problem := p.clash(person, old)
		if problem != nil {
			return fmt.Errorf("user %q: factor %q: %w", p.User, old.ID, problem)
		}
	}
	return nil
}

func (p Prepared) clash(person account.Person, old account.Factor) error {
	same := old.ID == p.Factor.ID
	switch {
	case old.Confirmed.IsZero() && same && !p.Replace:
		return ErrWaiting
	case old.Confirmed.IsZero():
		return nil
	case same && !p.Replace:
		return enrollment.ErrAlreadyConfirmed
	case !same && old.Kind == p.Factor.Kind && old.Kind.IsSent():
		// A person has one address of a kind, whatever the number of factors.
		return fmt.Errorf("%w: it sends codes by %s already", enrollment.ErrAlreadyConfirmed, old.Kind)
	case p.readdresses(person, old) && !p.Replace:
		return fmt.Errorf("%w: it sends codes by %s to another address", enrollment.ErrAlreadyConfirmed, old.Kind)
	}
	return nil
}

// readdresses says whether the codes of old would go elsewhere.
func (p Prepared) readdresses(person account.Person, old account.Factor) bool {
	email, phone := p.Changes.Email, p.Changes.Phone
	return old.Kind == account.Email && email != nil && *email != person.Email ||
		old.Kind == account.SMS && phone != nil && *phone != person.Phone
}

// confirm lets the factor, the last one, count.
func (p Prepared) confirm(person *account.Person, entry ledger.Entry, now time.Time) enrollment.Confirmation {
	kept := person.Recovery
	done := enrollment.Confirm(person, len(person.Factors)-1, entry, now)
	if !p.Recovery {
		done.RecoveryCodes, person.Recovery = nil, kept
	}
	return done
}

// addressMissing names the address that codes of this kind go to, if the
// person has none.
func addressMissing(person account.Person, kind account.Kind) string {
	switch {
	case kind == account.Email && person.Email == "":
		return "email"
	case kind == account.SMS && person.Phone == "":
		return "phone"
	}
	return ""
}
