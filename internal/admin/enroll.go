package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Enrollment is what Enroll wrote.
type Enrollment struct {
	File string
	// Replaces says that a confirmed factor with this id counts until the new
	// one is confirmed; Restarted that an unconfirmed one is gone.
	Replaces, Restarted bool
	// Beside are the confirmed factors that a further one was put beside.
	Beside []string
	// To is where codes are sent, if they are.
	To string
}

// Enroll writes a new factor, which must not be confirmed, into the person's
// secret file. Until Confirm it does not count. With replace it must have the
// id of a confirmed one, or of one that waits if nothing is confirmed.
func (g People) Enroll(user string, f account.Factor, replace bool) (Enrollment, error) {
	return g.enroll(user, func(done *Enrollment, person *account.Person) error {
		return done.add(person, f, replace)
	})
}

// enroll changes the person's secret file, which need not be there, by add.
func (g People) enroll(user string, add func(*Enrollment, *account.Person) error) (Enrollment, error) {
	if err := account.CheckName(user); err != nil {
		return Enrollment{}, err
	}
	dir, err := gate.PlaceOf(g.Config).Create()
	if err != nil {
		return Enrollment{}, err
	}
	defer dir.Close()
	done := Enrollment{File: dir.Path(user)}
	err = dir.Change(user, func(person *account.Person) error { return add(&done, person) })
	return done, err
}

// Put is what Enroll does to the person, for whoever changes the secret file.
func Put(file string, person *account.Person, f account.Factor, replace bool) (Enrollment, error) {
	done := Enrollment{File: file}
	return done, done.add(person, f, replace)
}

// add puts an unconfirmed factor into the person's file.
func (e *Enrollment) add(person *account.Person, f account.Factor, replace bool) error {
	e.Replaces = slices.ContainsFunc(person.Confirmed(), func(old account.Factor) bool { return old.ID == f.ID })
	if e.Replaces && !replace {
		return fmt.Errorf("%s: factor %q: %w", e.File, f.ID, enrollment.ErrAlreadyConfirmed)
	}
	if replace {
		if err := replaceable(*person, f.ID); err != nil {
			return fmt.Errorf("%s: %w", e.File, err)
		}
	}
	e.Beside = enrollment.Beside(*person, f.ID)
	before := len(person.Factors)
	person.Factors = slices.DeleteFunc(person.Factors, func(old account.Factor) bool {
		sameAddress := f.Kind.IsSent() && old.Kind == f.Kind
		return old.Confirmed.IsZero() && (old.ID == f.ID || sameAddress)
	})
	e.Restarted = len(person.Factors) < before
	person.Factors = append(person.Factors, f)
	return nil
}

// Confirm makes the person's unconfirmed factor count, if code is right for
// it. id may be empty if only one waits. The code is marked as used before the
// file changes, so that it can never log anybody in.
func (g People) Confirm(ctx context.Context, user, id, code string) (enrollment.Confirmation, error) {
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return enrollment.Confirmation{}, err
	}
	defer dir.Close()
	var done enrollment.Confirmation
	err = dir.Change(user, func(person *account.Person) error {
		at, err := pending(*person, id)
		if err != nil {
			return fmt.Errorf("%s: %w", dir.Path(user), err)
		}
		var entry ledger.Entry
		if f := person.Factors[at]; f.Kind.IsSent() {
			entry, err = g.spendFirstSent(ctx, person, f, code)
		} else {
			entry, err = enrollment.SpendFirst(ctx, g.Ledger, g.Config, g.Now(), *person, f, code)
		}
		if err != nil {
			return err
		}
		done = enrollment.Confirm(person, at, entry, g.Now())
		return nil
	})
	if errors.As(err, new(safefile.PlacedError)) && len(done.RecoveryCodes) > 0 {
		err = fmt.Errorf("%w. So the device counts, and its recovery codes are not shown: once the disk is in order, make new ones with otpctl recovery", err)
	}
	if err != nil {
		return enrollment.Confirmation{}, err
	}
	return done, nil
}

// pending finds the unconfirmed factor that id, which may be empty, means.
func pending(person account.Person, id string) (int, error) {
	found, waiting := -1, []string{}
	for i, f := range person.Factors {
		if f.Confirmed.IsZero() && (id == "" || f.ID == id) {
			found, waiting = i, append(waiting, f.ID)
		}
	}
	switch {
	case len(waiting) == 0 && id != "":
		return 0, fmt.Errorf("factor %q: %w", id, enrollment.ErrNothingToConfirm)
	case len(waiting) == 0:
		return 0, enrollment.ErrNothingToConfirm
	case len(waiting) > 1:
		return 0, fmt.Errorf("%w: %s", enrollment.ErrSeveralToConfirm, strings.Join(waiting, ", "))
	}
	return found, nil
}
