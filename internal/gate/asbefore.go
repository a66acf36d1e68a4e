package gate

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/account"
)

// ErrAsBefore is wrapped by the error for an enrollment that the person has
// already, confirmed and with the same data. Nothing is written then.
var ErrAsBefore = errors.New("it is enrolled so already")

// asBefore says whether the person has exactly what is prepared.
func (p Prepared) asBefore(person account.Person) error {
	for _, old := range person.Confirmed() {
		if old.ID != p.Factor.ID || !p.sameCodes(old) {
			continue
		}
		if changed, err := p.Changes.Apply(&person); err == nil && len(changed) == 0 {
			return fmt.Errorf("user %q: factor %q: %w", p.User, old.ID, ErrAsBefore)
		}
	}
	return nil
}

// sameCodes says whether the codes of old are those of the prepared factor.
func (p Prepared) sameCodes(old account.Factor) bool {
	f := p.Factor
	secret := p.Made || string(f.Secret) == string(old.Secret)
	return secret && f.Kind == old.Kind && f.Digits == old.Digits && f.Period == old.Period &&
		f.Algorithm == old.Algorithm && f.Counter == old.Counter
}
