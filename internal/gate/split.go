package gate

import (
	"context"
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
)

// Tails gives ends of the password of a login that nobody can be asked in: a
// code is typed behind the password there.
type Tails interface {
	// Tail returns the last n bytes of the password. found is false unless all
	// of them are in alphabet, which is ASCII, and something is left of the
	// password. The error means that there is nobody to ask.
	Tail(n int, alphabet string) (text string, found bool, err error)
}

// Split says how many bytes at the end of the password are a code, 0 if none
// are. It comes before the password stage, so it decides nothing: nothing is
// counted, written or told, and only a fault leaves an audit line. Nothing is
// taken off unless the policy asks a code of this login, so that a password
// which itself ends like a code keeps working everywhere else.
func (g *Gate) Split(ctx context.Context, request Request, tails Tails) (n int, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			n, err = 0, fmt.Errorf("panic: %v", panicked)
		}
		if err != nil {
			g.Audit.Write(record(g.protocol(request), request, fault(err)))
		}
	}()
	need, person, err := g.need(request)
	if err != nil || need.Code != Asked {
		return 0, err
	}
	for _, form := range forms(person) {
		if err := ctx.Err(); err != nil {
			return 0, blame{"dialogue", fmt.Errorf("take the code off the password: %w", err)}
		}
		text, found, err := tails.Tail(form.length, form.alphabet)
		if err != nil {
			return 0, blame{"dialogue", fmt.Errorf("take the code off the password: %w", err)}
		}
		if found && form.is(text) {
			return form.length, nil
		}
	}
	return 0, nil
}

// form is what one kind of code looks like.
type form struct {
	length   int // bytes
	alphabet string
	is       func(text string) bool
}

// forms are those of the person's codes, the longest first: the end of a
// longer code may look like a shorter one.
func forms(person account.Person) []form {
	var all []form
	for _, f := range person.Confirmed() {
		all = append(all, form{f.Digits, "0123456789", func(text string) bool { return factor.IsCode(f, text) }})
	}
	if len(person.Recovery.Hashes) > 0 {
		all = append(all, form{factor.RecoveryLength, factor.RecoveryCharacters, factor.IsRecovery})
	}
	slices.SortStableFunc(all, func(a, b form) int { return b.length - a.length })
	return slices.CompactFunc(all, func(a, b form) bool { return a.length == b.length && a.alphabet == b.alphabet })
}
