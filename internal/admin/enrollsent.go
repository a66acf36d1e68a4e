package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// ErrNoAddress says that a person has no address or number to send codes to.
var ErrNoAddress = errors.New("nowhere to send codes to")

// EnrollSent writes a factor of codes that are sent to the address or number
// to, or if that is empty to the one that the person has. It does not count
// until Confirm, whose first code SendFirst sends.
//
// A person has one address for each kind, so that of another factor must be
// replaced under its own id. The file keeps the old address until the new one
// has shown that codes arrive there.
func (g People) EnrollSent(user string, f account.Factor, to string, replace bool) (Enrollment, error) {
	return g.enrollSent(user, f, to, replace, func(person *account.Person, to string) error {
		if g.Sender == nil {
			return gate.ErrNoSender
		}
		if address := contact(person, f.Kind); *address == "" {
			*address = to
		}
		return nil
	})
}

// EnrollTrusted is EnrollSent and Confirm without a code: whoever calls it knows
// that the address is the person's.
func (g People) EnrollTrusted(ctx context.Context, user string, f account.Factor, to string, replace bool) (Enrollment, enrollment.Confirmation, error) {
	var confirmed enrollment.Confirmation
	done, err := g.enrollSent(user, f, to, replace, func(person *account.Person, to string) error {
		entry, err := g.Ledger.View(ctx, ledger.UserKey(person.User))
		if err != nil {
			return err
		}
		*contact(person, f.Kind) = to
		confirmed = enrollment.Confirm(person, len(person.Factors)-1, entry, g.Now())
		return nil
	})
	if err != nil {
		return Enrollment{}, enrollment.Confirmation{}, err
	}
	return done, confirmed, nil
}

func (g People) enrollSent(user string, f account.Factor, to string, replace bool, then func(person *account.Person, to string) error) (Enrollment, error) {
	return g.enroll(user, func(done *Enrollment, person *account.Person) error {
		if done.To = to; to == "" {
			done.To = *contact(person, f.Kind)
		}
		if err := checkContact(f.Kind, done.To); err != nil {
			return fmt.Errorf("%s: factor %q: %w", done.File, f.ID, err)
		}
		other := slices.IndexFunc(person.Confirmed(), func(old account.Factor) bool { return old.Kind == f.Kind && old.ID != f.ID })
		if other >= 0 {
			return fmt.Errorf("%s: factor %q already has codes sent by %s; to send them elsewhere, replace it under that id",
				done.File, person.Confirmed()[other].ID, f.Kind)
		}
		if err := done.add(person, f, replace); err != nil {
			return err
		}
		return then(person, done.To)
	})
}

// contact is where the person's codes of a kind are sent.
func contact(person *account.Person, kind account.Kind) *string {
	if kind == account.SMS {
		return &person.Phone
	}
	return &person.Email
}

func checkContact(kind account.Kind, to string) error {
	switch {
	case to == "":
		return ErrNoAddress
	case kind == account.SMS:
		return account.CheckPhone(to)
	case kind == account.Email:
		return account.CheckEmail(to)
	}
	return fmt.Errorf("codes of kind %q are not sent", kind)
}

// SendFirst sends a first code for a factor that EnrollSent wrote, and returns
// until when it is good. Codes that were sent for it before are worthless then.
func (g People) SendFirst(ctx context.Context, user string, f account.Factor, to string) (expires time.Time, err error) {
	if g.Sender == nil {
		return time.Time{}, gate.ErrNoSender
	}
	now := g.Now()
	code := factor.NewSent(g.Config.Sent)
	carried := factor.Carry(user, firstPurpose(f.ID)+to, code, now.Add(g.Config.Sent.TTL.Duration))
	err = g.Ledger.Update(ctx, ledger.UserKey(user), func(entry *ledger.Entry) error {
		entry.Carried = slices.DeleteFunc(entry.Carried, func(c ledger.Carried) bool { return strings.HasPrefix(c.For, firstPurpose(f.ID)) })
		factor.AddCarried(entry, carried, now)
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	// Only the new address is named: a code that comes another way proves
	// nothing about it.
	person := account.Person{User: user}
	*contact(&person, f.Kind) = to
	delivery, err := g.Deliver(ctx, gate.Request{Service: "enrollment"}, person, f.Kind, code, carried.Expires)
	if err == nil && delivery.Channel != deliver.Channel(f.Kind) {
		err = fmt.Errorf("it was sent by %s instead of %s", delivery.Channel, f.Kind)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("send a first code: %w", err)
	}
	return carried.Expires, nil
}

// firstPurpose is what a first code is good for, before the address: a code
// confirms the address that it was sent to and no other.
func firstPurpose(id string) string { return "enroll:" + id + ":" }

// spendFirstSent checks a first code that was sent, takes it out of the ledger,
// and puts the address that it was sent to into the person's file.
func (g People) spendFirstSent(ctx context.Context, person *account.Person, f account.Factor, code string) (ledger.Entry, error) {
	var after ledger.Entry
	var to string
	now := g.Now()
	err := g.Ledger.Update(ctx, ledger.UserKey(person.User), func(entry *ledger.Entry) error {
		to = ""
		for _, c := range slices.Clone(entry.Carried) {
			address, found := strings.CutPrefix(c.For, firstPurpose(f.ID))
			if found && factor.VerifyCarried(person.User, c.For, code, now, entry) == factor.Right {
				to = address
			}
		}
		after = *entry
		if to == "" {
			return enrollment.WrongCodeError{Kind: f.Kind, Digits: g.Config.Sent.Length, Malformed: !factor.IsSent(g.Config.Sent, code)}
		}
		return nil
	})
	if err != nil {
		return ledger.Entry{}, err
	}
	*contact(person, f.Kind) = to
	return after, nil
}
