package people

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/tokenfile"
)

// errNoKey is for a line of a file that enroll --out has written, of a device whose
// key was known before: it is not in that file.
var errNoKey = errors.New("its key is not in this file: expected it in the column uri or secret")

// saysURI are the columns whose values are in the URI.
var saysURI = []string{"secret", "counter", "digits", "period", "algorithm"}

// fillURI takes the key and how codes are made of it from an otpauth URI. In a file
// with such a column no keys are made: it has them, or somebody has them already.
func (l *csvLine) fillURI(cells map[string]string) (column string, err error) {
	uri, given := cells["uri"]
	f := &l.prepared.Factor
	switch {
	case !given || f.Kind.IsSent():
		if uri != "" {
			return "uri", errors.New("codes that are sent have none")
		}
		return "", nil
	case uri == "":
		l.keyless = cells["secret"] == ""
		return "", nil
	}
	for _, other := range saysURI {
		if cells[other] != "" {
			return other, errors.New("the column uri says it already")
		}
	}
	t, err := tokenfile.ParseURI(uri)
	if err != nil {
		return "uri", err
	}
	if t.Factor.Kind != f.Kind {
		return "kind", fmt.Errorf("the column uri says %s", t.Factor.Kind)
	}
	f.Secret, f.Counter, f.Digits, f.Period, f.Algorithm = t.Factor.Secret, t.Factor.Counter, t.Factor.Digits, t.Factor.Period, t.Factor.Algorithm
	return "", nil
}

// keyless says what to do with a line without a key: nothing, if the person has such
// a device.
func (e *enroller) keyless(p *admin.Prepared) error {
	person, err := e.g.Accounts.Load(p.User)
	if err != nil && !errors.Is(err, account.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range person.Confirmed() {
		if f.ID == p.Factor.ID && f.Kind == p.Factor.Kind {
			return fmt.Errorf("user %q: factor %q: %w", p.User, f.ID, admin.ErrEnrolledSame)
		}
	}
	return errNoKey
}

// kindOfURI is the kind where only the URI says it.
func kindOfURI(cells map[string]string) account.Kind {
	if t, err := tokenfile.ParseURI(cells["uri"]); err == nil && cells["kind"] == "" {
		return t.Factor.Kind
	}
	return account.TOTP
}
