package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
)

// Changes are what Set changes of a person. What is nil stays as it is.
type Changes struct {
	Email, Phone *string            // "" takes the address away
	Protocols    *[]config.Protocol // an empty list means those of the policy
}

// AddressNeededError says that an address cannot be taken away, as codes are
// sent to it.
type AddressNeededError struct {
	User, Address string // Address is "email" or "phone"
	Factors       []string
}

func (e AddressNeededError) Error() string {
	return fmt.Sprintf("user %q: the factor %s sends its codes to the %s", e.User, strings.Join(e.Factors, ", "), e.Address)
}

// Apply makes the changes and returns the names of the keys that are otherwise
// than before. The caller checks the result, as a secret file does.
func (c Changes) Apply(person *account.Person) (changed []string, err error) {
	for _, address := range []struct {
		key  string
		kind account.Kind
		want *string
		have *string
	}{
		{"email", account.Email, c.Email, &person.Email},
		{"phone", account.SMS, c.Phone, &person.Phone},
	} {
		if address.want == nil || *address.want == *address.have {
			continue
		}
		if needed := ofKind(*person, address.kind); *address.want == "" && len(needed) > 0 {
			return nil, AddressNeededError{person.User, address.key, needed}
		}
		*address.have = *address.want
		changed = append(changed, address.key)
	}
	if c.Protocols != nil && !slices.Equal(*c.Protocols, person.Protocols) {
		person.Protocols = slices.Clone(*c.Protocols)
		if len(person.Protocols) == 0 {
			person.Protocols = nil
		}
		changed = append(changed, "protocols")
	}
	return changed, nil
}

func ofKind(person account.Person, kind account.Kind) (ids []string) {
	for _, f := range person.Factors {
		if f.Kind == kind && !slices.Contains(ids, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// Set changes the secret file of somebody who has one. It returns the person
// as it is afterwards, and the names of the keys that were changed.
func (g People) Set(user string, changes Changes) (after account.Person, changed []string, err error) {
	err = g.edit(user, func(person *account.Person) error {
		changed, err = changes.Apply(person)
		after = *person
		if err == nil && len(changed) == 0 {
			return errUnchanged
		}
		return err
	})
	if errors.Is(err, errUnchanged) {
		return after, nil, nil
	}
	return after, changed, err
}

// ErrNoSuchFactor is wrapped by the error for an id that no factor has.
var ErrNoSuchFactor = errors.New("no factor has this id")

// RemoveFactor takes the factors with this id, confirmed or not, out of the
// person's secret file. Recovery codes go with the last factor that counts
// (CVE-2022-36071). It returns the person as it is afterwards.
func (g People) RemoveFactor(user, id string) (after account.Person, err error) {
	err = g.edit(user, func(person *account.Person) error {
		kept := slices.DeleteFunc(slices.Clone(person.Factors), func(f account.Factor) bool { return f.ID == id })
		if len(kept) == len(person.Factors) {
			return fmt.Errorf("user %q: factor %q: %w", user, id, ErrNoSuchFactor)
		}
		person.Factors = kept
		if len(person.Confirmed()) == 0 {
			person.Recovery = account.Recovery{}
		}
		after = *person
		return nil
	})
	return after, err
}
