package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// What an enrollment can end with, beside a WrongCodeError. The caller adds
// what to do.
var (
	ErrAlreadyConfirmed = errors.New("there is a confirmed factor with this id")
	ErrNothingToConfirm = errors.New("no enrollment waits for its first code")
	ErrSeveralToConfirm = errors.New("several enrollments wait for their first code")
	ErrCodeUsed         = errors.New("this code has been used")
)

// BeforeCounterError says that a first code is one of the token's that lie
// before the counter which the enrollment began with.
type BeforeCounterError struct{ Counter int64 }

func (b BeforeCounterError) Error() string {
	return fmt.Sprintf("the code is before the counter %d that the enrollment began with", b.Counter)
}

// WrongCodeError says that a first code was wrong.
type WrongCodeError struct {
	Kind account.Kind
	// Digits is how many the code should have, or characters if it was sent;
	// Malformed that it had not.
	Digits    int
	Malformed bool
	// Off is how far from now the code would have been right: negative is the
	// past. Zero says that it is no code of the last or the next hour.
	Off time.Duration
	// Ahead is how many codes too far a token with a counter is, 0 if it is not.
	Ahead int
}

func (w WrongCodeError) Error() string {
	switch {
	case w.Malformed && w.Kind.IsSent():
		return fmt.Sprintf("expected exactly the %d characters that were sent", w.Digits)
	case w.Malformed:
		return fmt.Sprintf("expected exactly %d digits", w.Digits)
	}
	return "the code is not right"
}

// secretBytes are the sizes of new secrets: the length of the hash, which RFC
// 4226 section 4 recommends and RFC 6238 section 5.1 takes over.
var secretBytes = map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64}

// NewFactor makes a factor with a random secret, not confirmed yet. settings
// must have been checked.
func NewFactor(id string, settings config.TOTP) account.Factor {
	return account.Factor{
		ID: id, Kind: account.TOTP, Secret: newSecret(settings.Algorithm),
		Digits: settings.Digits, Period: settings.Period, Algorithm: settings.Algorithm,
	}
}

// NewToken makes a factor with a random secret for a token with a counter, not
// confirmed yet. counter is the first that the token uses.
func NewToken(id string, settings config.HOTP, counter int64) account.Factor {
	return account.Factor{
		ID: id, Kind: account.HOTP, Secret: newSecret(settings.Algorithm),
		Digits: settings.Digits, Algorithm: settings.Algorithm, Counter: counter,
	}
}

func newSecret(algorithm string) account.Secret {
	secret := make(account.Secret, secretBytes[algorithm])
	rand.Read(secret) // never fails, see its documentation
	return secret
}

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
func (g *Gate) Enroll(user string, f account.Factor, replace bool) (Enrollment, error) {
	return g.enroll(user, func(done *Enrollment, person *account.Person) error {
		return done.add(person, f, replace)
	})
}

// enroll changes the person's secret file, which need not be there, by add.
func (g *Gate) enroll(user string, add func(*Enrollment, *account.Person) error) (Enrollment, error) {
	if err := account.CheckName(user); err != nil {
		return Enrollment{}, blame{"user-name", err}
	}
	dir, err := account.Create(g.Config.Paths.Users, g.Config.Policy.OwnProtocols...)
	if err != nil {
		return Enrollment{}, err
	}
	defer dir.Close()
	done := Enrollment{File: dir.Path(user)}
	err = dir.Change(user, func(person *account.Person) error { return add(&done, person) })
	return done, err
}

// add puts an unconfirmed factor into the person's file.
func (e *Enrollment) add(person *account.Person, f account.Factor, replace bool) error {
	e.Replaces = slices.ContainsFunc(person.Confirmed(), func(old account.Factor) bool { return old.ID == f.ID })
	if e.Replaces && !replace {
		return fmt.Errorf("%s: factor %q: %w", e.File, f.ID, ErrAlreadyConfirmed)
	}
	if replace {
		if err := replaceable(*person, f.ID); err != nil {
			return fmt.Errorf("%s: %w", e.File, err)
		}
	}
	e.Beside = beside(*person, f.ID)
	before := len(person.Factors)
	person.Factors = slices.DeleteFunc(person.Factors, func(old account.Factor) bool {
		sameAddress := f.Kind.IsSent() && old.Kind == f.Kind
		return old.Confirmed.IsZero() && (old.ID == f.ID || sameAddress)
	})
	e.Restarted = len(person.Factors) < before
	person.Factors = append(person.Factors, f)
	return nil
}

// Confirmation is what Confirm wrote.
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

// Confirm makes the person's unconfirmed factor count, if code is right for
// it. id may be empty if only one waits. The code is marked as used before the
// file changes, so that it can never log anybody in.
func (g *Gate) Confirm(ctx context.Context, user, id, code string) (Confirmation, error) {
	dir, err := account.Open(g.Config.Paths.Users, g.Config.Policy.OwnProtocols...)
	if err != nil {
		return Confirmation{}, err
	}
	defer dir.Close()
	var done Confirmation
	err = dir.Change(user, func(person *account.Person) error {
		at, err := pending(*person, id)
		if err != nil {
			return fmt.Errorf("%s: %w", dir.Path(user), err)
		}
		var entry ledger.Entry
		if f := person.Factors[at]; f.Kind.IsSent() {
			entry, err = g.spendFirstSent(ctx, person, f, code)
		} else {
			entry, err = g.spendFirst(ctx, *person, f, code)
		}
		if err != nil {
			return err
		}
		done = confirm(person, at, entry, g.Now())
		return nil
	})
	if err != nil {
		return Confirmation{}, err
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
		return 0, fmt.Errorf("factor %q: %w", id, ErrNothingToConfirm)
	case len(waiting) == 0:
		return 0, ErrNothingToConfirm
	case len(waiting) > 1:
		return 0, fmt.Errorf("%w: %s", ErrSeveralToConfirm, strings.Join(waiting, ", "))
	}
	return found, nil
}

// spendFirst marks a right code as used, for good when it returns nil. A wrong
// one costs nothing: the factor does not let anybody in yet.
func (g *Gate) spendFirst(ctx context.Context, person account.Person, f account.Factor, code string) (ledger.Entry, error) {
	now := g.Now()
	var after ledger.Entry
	err := g.Ledger.Update(ctx, userKey(person), func(entry *ledger.Entry) error {
		outcome := factor.Verify(person.User, f, g.Config, code, now, entry)
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

// confirm makes factor number at count, in the place of an older one with the
// same id, and sees to recovery codes. Somebody disabled gets none: they would
// outlive the reason for which the old ones were taken (CVE-2022-36071).
func confirm(person *account.Person, at int, entry ledger.Entry, now time.Time) Confirmation {
	confirmed := person.Factors[at]
	confirmed.Confirmed = now.UTC().Truncate(time.Second)
	besides := beside(*person, confirmed.ID)
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
