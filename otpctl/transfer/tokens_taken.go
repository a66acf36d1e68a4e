package transfer

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// ofOthers marks tokens with a counter that others than those who are to have them are
// enrolled with: a code that one has used would be good again for the other.
func ofOthers(a *invocation.App, tokens []tokenfile.Token) error {
	byKey := map[string]*tokenfile.Token{}
	for i := range tokens {
		if t := &tokens[i]; t.Err == nil && t.Factor.Kind == account.HOTP {
			byKey[string(t.Factor.Secret)] = t
		}
	}
	g, err := a.Gate()
	if err != nil || len(byKey) == 0 {
		return err
	}
	dir, err := gate.PlaceOf(g.Config).Open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nobody is enrolled
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		person, err := dir.Load(name)
		if errors.Is(err, ledger.ErrUnreachable) {
			return err // others would be missed too
		}
		if err != nil {
			continue // nobody gets in by that file
		}
		for _, f := range person.Factors {
			t, same := byKey[string(f.Secret)]
			if !same || t.Err != nil || len(f.Secret) == 0 {
				continue
			}
			if canonical, found, err := a.Lookup(t.User); t.User != name && (err != nil || !found || canonical != name) {
				t.Err = fmt.Errorf("%s %w, as %s", name, tokenfile.ErrTaken, f.ID)
			}
		}
	}
	return nil
}
