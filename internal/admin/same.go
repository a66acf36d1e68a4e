package admin

import (
	"errors"
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/account"
)

// ErrEnrolledSame is wrapped by the error for an enrollment that the person has
// already, confirmed and with the same data. Nothing is written then.
var ErrEnrolledSame = errors.New("it is enrolled like this already")

// ErrToConfirm is wrapped by the error for an enrollment that waits for its first
// code just as it is prepared. Nothing is written then: the owner may have the
// secret already.
var ErrToConfirm = errors.New("it is still to be confirmed")

// waitsAlready says whether the same enrollment waits for its first code.
func (p Prepared) waitsAlready(person account.Person) error {
	for _, old := range person.Factors {
		if old.ID != p.Factor.ID || !old.Confirmed.IsZero() || p.Confirmed || !p.sameCodes(old) {
			continue
		}
		if changed, err := p.Changes.Apply(&person); err == nil && len(changed) == 0 {
			return fmt.Errorf("user %q: factor %q: %w", p.User, old.ID, ErrToConfirm)
		}
	}
	return nil
}

// checkSame says whether the person has exactly what is prepared.
func (p Prepared) checkSame(person account.Person) error {
	for _, old := range person.Confirmed() {
		if old.ID != p.Factor.ID || !p.sameCodes(old) {
			continue
		}
		if changed, err := p.Changes.Apply(&person); err == nil && len(changed) == 0 {
			return fmt.Errorf("user %q: factor %q: %w", p.User, old.ID, ErrEnrolledSame)
		}
	}
	return nil
}

// isSame says whether the person has every factor of the import, confirmed.
// Counters may have gone on since.
func (i Imported) isSame(person account.Person) bool {
	return !slices.ContainsFunc(i.Factors, func(imported ImportedFactor) bool {
		return !slices.ContainsFunc(person.Confirmed(), func(old account.Factor) bool {
			return old.ID == imported.Factor.ID && sameKey(old, imported.Factor)
		})
	})
}

// sameKey says whether two factors make the same codes, wherever they are.
func sameKey(a, b account.Factor) bool {
	return string(a.Secret) == string(b.Secret) && a.Kind == b.Kind && a.Digits == b.Digits && a.Period == b.Period && a.Algorithm == b.Algorithm
}

// sameCodes says whether the codes of old are those of the prepared factor.
func (p Prepared) sameCodes(old account.Factor) bool {
	f := p.Factor
	if p.Made {
		f.Secret = old.Secret
	}
	return sameKey(f, old) && f.Counter == old.Counter && f.Prefix == old.Prefix
}
