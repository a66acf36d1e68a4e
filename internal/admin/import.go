package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// ErrEnrolled is wrapped by the error for somebody who is to be brought along
// and has an enrollment here.
var ErrEnrolled = errors.New("there is an enrollment already")

// Imported is a person who is brought along from another module.
type Imported struct {
	User    string
	Factors []ImportedFactor
	// Scratch are the codes of eight digits that are still good.
	Scratch []string
	// Replace lets the factors take the place of those with the same ids, and
	// the scratch codes that of earlier ones. Without it nobody who has a factor
	// is touched.
	Replace bool
}

// ImportedFactor is a factor with what has been used of it elsewhere.
type ImportedFactor struct {
	Factor account.Factor
	// Use is nil if nothing is known to be used. It never makes good again what
	// was used here.
	Use *ledger.Use
}

// Import writes a person who is brought along, all or nothing. The factors
// count at once, as they did where they come from. What has been used is in the
// ledger before the secret file changes, so that a crash in between leaves no
// used code good. recoveryLeft counts the person's recovery codes that are good.
// Who has the same factors, confirmed, is left alone: ErrAsBefore.
func (g People) Import(ctx context.Context, i Imported) (recoveryLeft int, err error) {
	if err := account.CheckName(i.User); err != nil {
		return 0, err
	}
	dir, err := gate.PlaceOf(g.Config).Create()
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	if err := gate.PlaceOf(g.Config).CanWrite(); err != nil {
		return 0, err
	}
	err = dir.Change(i.User, func(person *account.Person) error {
		if err := i.put(person, g); err != nil {
			if entry, seen := g.Ledger.View(ctx, ledger.UserKey(person.User)); seen == nil {
				recoveryLeft = factor.RecoveryLeft(*person, entry)
			}
			return err
		}
		// What could not be written must not be marked as used either.
		if err := account.Check(*person); err != nil {
			return err
		}
		return g.Ledger.Update(ctx, ledger.UserKey(person.User), func(entry *ledger.Entry) error {
			i.markUsed(entry)
			recoveryLeft = factor.RecoveryLeft(*person, *entry)
			return nil
		})
	})
	return recoveryLeft, err
}

// CheckImport says what Import would fail with, and changes nothing.
func (g People) CheckImport(i Imported) error {
	if err := account.CheckName(i.User); err != nil {
		return err
	}
	if err := gate.PlaceOf(g.Config).CanWrite(); err != nil {
		return err
	}
	person, err := g.Accounts.Load(i.User)
	if errors.Is(err, account.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		person, err = account.Person{Version: 1, User: i.User, Enabled: true}, nil
	}
	if err != nil {
		return err
	}
	if err := i.put(&person, g); err != nil {
		return err
	}
	return account.Check(person)
}

// put makes the imported factors part of the person.
func (i Imported) put(person *account.Person, g People) error {
	switch {
	case !person.Enabled:
		// New codes would let in whom somebody has shut out (CVE-2022-36071).
		return fmt.Errorf("user %q: %w, and it is disabled", i.User, ErrEnrolled)
	case len(person.Factors) > 0 && !i.Replace && i.isSame(*person):
		return fmt.Errorf("user %q: %w", i.User, ErrEnrolledSame)
	case len(person.Factors) > 0 && !i.Replace:
		return fmt.Errorf("user %q: %w: %s", i.User, ErrEnrolled, strings.Join(factorIDs(*person), ", "))
	}
	factors := slices.Clone(person.Factors)
	now := g.Now().UTC().Truncate(time.Second)
	for _, imported := range i.Factors {
		factors = slices.DeleteFunc(factors, func(old account.Factor) bool { return old.ID == imported.Factor.ID })
	}
	for _, imported := range i.Factors {
		f := imported.Factor
		f.Confirmed = now
		factors = append(factors, f)
	}
	person.Factors = factors
	return i.putScratch(person)
}

func (i Imported) putScratch(person *account.Person) error {
	hashes := slices.DeleteFunc(slices.Clone(person.Recovery.Hashes), func(hash string) bool {
		return strings.HasPrefix(hash, account.ScratchPrefix)
	})
	for n, code := range i.Scratch {
		hash, ok := factor.Scratch(person.RecoveryUser(), code)
		if !ok {
			return fmt.Errorf("user %q: scratch code number %d: expected %d digits", i.User, n+1, factor.ScratchDigits)
		}
		if !slices.Contains(hashes, hash) {
			hashes = append(hashes, hash)
		}
	}
	person.Recovery.Hashes = hashes
	return nil
}

// markUsed notes what has been used elsewhere, where it is more than is known.
func (i Imported) markUsed(entry *ledger.Entry) {
	for _, imported := range i.Factors {
		if imported.Use != nil {
			factor.MarkUsed(i.User, imported.Factor, *imported.Use, entry)
		}
	}
}

func factorIDs(person account.Person) (ids []string) {
	for _, f := range person.Factors {
		if !slices.Contains(ids, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	return ids
}
