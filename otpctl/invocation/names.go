package invocation

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/nss"
)

// OpenPerson opens the engine and the directory of secret files, and returns
// the name whose file given means. The caller closes the directory.
func (a *App) OpenPerson(given string) (g admin.People, dir account.Store, name string, err error) {
	if g, name, err = a.Enrolled(given); err != nil {
		return admin.People{}, nil, "", err
	}
	if dir, err = gate.PlaceOf(g.Config).Open(); err != nil {
		return admin.People{}, nil, "", err
	}
	return g, dir, name, nil
}

// lookup asks the system's name services (NSS).
func lookup(name string) (canonical string, found bool, err error) {
	known, found, err := nss.UserByName(name)
	if err != nil || !found {
		return name, false, err
	}
	return known.Name, true, nil
}

// SystemName returns the system's own spelling of name, who must be known to
// it: a login under another spelling looks for that file.
func (a *App) SystemName(name string) (string, error) {
	canonical, found, err := a.Lookup(name)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", fmt.Errorf("user %q: %w", name, ErrUnknownUser)
	case canonical != name:
		a.Sum("this machine knows %s as %s; that name is used", name, canonical)
	}
	if err := account.CheckName(canonical); err != nil {
		return "", err
	}
	return canonical, nil
}

// ErrUnknownUser is for a name that the machine does not know.
var ErrUnknownUser = nss.ErrUnknownUser

// Enrolled opens the engine, and returns the name whose secret file given means.
func (a *App) Enrolled(given string) (g admin.People, name string, err error) {
	if g, err = a.Gate(); err == nil {
		name, err = a.EnrolledName(g, given)
	}
	return g, name, err
}

// EnrolledName returns the name whose secret file name means: name itself or,
// as at a login, the system's spelling of it.
func (a *App) EnrolledName(g admin.People, name string) (string, error) {
	if err := account.CheckName(name); err != nil {
		return "", UsageError{Err: err}
	}
	if _, err := g.Accounts.Load(name); !errors.Is(err, account.ErrNotFound) {
		return name, nil
	}
	canonical, found, err := a.Lookup(name)
	if err != nil {
		return "", err
	}
	if !found || canonical == name || account.CheckName(canonical) != nil {
		return name, nil
	}
	a.Sum("this machine knows %s as %s; that name is used", name, canonical)
	return canonical, nil
}
