package command

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/nss"
)

// openPerson opens the engine and the directory of secret files, and returns
// the name whose file given means. The caller closes the directory.
func (a *app) openPerson(given string) (g admin.People, dir *account.Dir, name string, err error) {
	if g, err = a.gate(); err != nil {
		return admin.People{}, nil, "", err
	}
	if name, err = a.enrolledName(g, given); err != nil {
		return admin.People{}, nil, "", err
	}
	if dir, err = account.Open(g.Config.Paths.Users, g.Config.Policy.OwnProtocols...); err != nil {
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

// systemName returns the system's own spelling of name, who must be known to
// it: a login under another spelling looks for that file.
func (a *app) systemName(name string) (string, error) {
	canonical, found, err := a.Lookup(name)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", fmt.Errorf("user %q: %w", name, errUnknownUser)
	case canonical != name:
		a.note("this machine knows %s as %s; that name is used", name, canonical)
	}
	if err := account.CheckName(canonical); err != nil {
		return "", err
	}
	return canonical, nil
}

var errUnknownUser = nss.ErrUnknownUser

// enrolledName returns the name whose secret file name means: name itself or,
// as at a login, the system's spelling of it.
func (a *app) enrolledName(g admin.People, name string) (string, error) {
	if err := account.CheckName(name); err != nil {
		return "", usageError{err}
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
	a.note("this machine knows %s as %s; that name is used", name, canonical)
	return canonical, nil
}
