package enrollment

import (
	"context"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// SpendFirst marks a right code as used, for good when it returns nil. A wrong
// one costs nothing: the factor does not let anybody in yet.
func SpendFirst(ctx context.Context, store ledger.Store, settings config.Config, now time.Time, person account.Person, f account.Factor, code string) (ledger.Entry, error) {
	var after ledger.Entry
	if err := f.Unreadable(); err != nil {
		return after, err
	}
	err := store.Update(ctx, ledger.UserKey(person.User), func(entry *ledger.Entry) error {
		outcome := factor.Verify(person.User, f, settings, code, now, entry)
		after = *entry
		switch outcome {
		case factor.Right:
			return nil
		case factor.Used:
			if _, known := entry.Used[factor.Fingerprint(person.User, f)]; f.Kind == account.HOTP && !known {
				return BeforeCounterError{f.Counter}
			}
			return ErrCodeUsed
		}
		return wrongFirst(person.User, f, code, now, *entry)
	})
	return after, err
}

// How far a wrong first code is looked for: an hour of steps at the usual
// period, and so many codes of a token.
const (
	searchedSteps = 120
	searchedCodes = 1000
)

func wrongFirst(user string, f account.Factor, code string, now time.Time, entry ledger.Entry) error {
	wrong := WrongCodeError{Kind: f.Kind, Digits: f.Digits, Malformed: !factor.IsCode(f, code)}
	if steps, found := (factor.TOTP{User: user, Factor: f}).Displaced(code, now, searchedSteps); found {
		wrong.Off = time.Duration(steps*f.Period) * time.Second
	}
	if codes, found := (factor.HOTP{User: user, Factor: f}).Ahead(code, searchedCodes, entry); found {
		wrong.Ahead = codes
	}
	return wrong
}

// Confirmation is what became of a factor that counts now.
type Confirmation struct {
	Factor   account.Factor
	Replaced bool // an older factor with this id is gone
	Disabled bool // the person is, so that the factor does not count yet
	// Beside are the factors that count, if this is a further one.
	Beside []string
	// RecoveryCodes were made, as there were none left. This is the only time
	// that they can be shown.
	RecoveryCodes []string
}

// Confirm makes factor number at count, in the place of an older one with the
// same id, and sees to recovery codes. Somebody disabled gets none: they would
// outlive the reason for which the old ones were taken (CVE-2022-36071).
func Confirm(person *account.Person, at int, entry ledger.Entry, now time.Time) Confirmation {
	confirmed := person.Factors[at]
	confirmed.Confirmed = now.UTC().Truncate(time.Second)
	besides := Beside(*person, confirmed.ID)
	others := slices.DeleteFunc(person.Factors, func(f account.Factor) bool { return f.ID == confirmed.ID })
	done := Confirmation{
		Factor: confirmed, Disabled: !person.Enabled,
		Replaced: len(others) < len(person.Factors)-1, Beside: besides,
	}
	person.Factors = append(others, confirmed)
	if person.Enabled && factor.RecoveryLeft(*person, entry) == 0 {
		done.RecoveryCodes, person.Recovery = factor.NewRecovery(person.User)
	}
	return done
}

// Beside are the ids of the confirmed factors that go on counting beside a new
// one with this id. If that replaces one of them nothing is said of the others.
func Beside(person account.Person, id string) (ids []string) {
	for _, f := range person.Confirmed() {
		if f.ID == id {
			return nil
		}
		ids = append(ids, f.ID)
	}
	return ids
}
