package selfservice

import (
	"context"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// proveAgain uses up a fresh code of a device that counted before the browser session began, or a
// recovery code. Whoever sits down at a browser that somebody left open can add a device of
// his own: a code of that shows nothing.
func (v *openSession) proveAgain(ctx context.Context, code string) error {
	person, young := v.byAge()
	entry, err := v.People.Ledger.View(ctx, ledger.UserKey(person.User))
	if err != nil {
		return err
	}
	for _, f := range young {
		// It is no guess, and nobody is to be locked out by it. The entry is a copy.
		if f.Unreadable() == nil && factor.Verify(person.User, f, v.People.Config, code, v.now(), &entry) != factor.Wrong {
			return ErrYoungDevice
		}
	}
	_, err = v.prove(ctx, person, v.remote, code)
	return err
}

// byAge gives the person without the devices that came to count since the browser session began, and
// those. The time of a device has no fractions of a second: one of the same second is young.
func (v *openSession) byAge() (old account.Person, young []account.Factor) {
	old = v.person
	old.Factors = nil
	began := v.link.Done.Truncate(time.Second)
	for _, f := range v.person.Factors {
		if f.Confirmed.Before(began) {
			old.Factors = append(old.Factors, f)
		} else {
			young = append(young, f)
		}
	}
	return old, slices.Clip(young)
}
