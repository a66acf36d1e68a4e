package invocation

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/otpgate/otpgate/internal/nss"
)

// Login is an account of the machine.
type Login struct {
	Name     string
	UID, GID uint32
	Home     string
}

// Logins asks the system for its accounts.
type Logins interface {
	// ByName and ByUID find one, and say whether there is one.
	ByName(name string) (Login, bool, error)
	ByUID(uid uint32) (Login, bool, error)
	// Others lists the other names of the uid that a name has, the first one
	// first, as far as a login finds them.
	Others(name string) (uid uint32, others []string, err error)
	// All lists them, as far as the name services do.
	All() ([]Login, error)
}

// systemLogins are those of NSS.
type systemLogins struct{}

// ByName implements Logins.
func (systemLogins) ByName(name string) (Login, bool, error) {
	return loginOf(nss.UserByName(name))
}

// ByUID implements Logins.
func (systemLogins) ByUID(uid uint32) (Login, bool, error) {
	return loginOf(nss.UserByID(uid))
}

func loginOf(u nss.User, found bool, err error) (Login, bool, error) {
	return Login{u.Name, u.UID, u.GID, u.Home}, found, err
}

// All implements Logins.
func (systemLogins) All() ([]Login, error) {
	entries, err := nss.List(context.Background(), "passwd")
	if err != nil {
		return nil, err
	}
	return loginsOf(entries)
}

func newLogin(name, uid, gid, home string) (Login, error) {
	u, err := strconv.ParseUint(uid, 10, 32)
	g, err2 := strconv.ParseUint(gid, 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return Login{}, fmt.Errorf("account of %q: %w", name, err)
	}
	return Login{name, uint32(u), uint32(g), home}, nil
}

// loginsOf are the accounts of passwd(5)'s entries.
func loginsOf(entries [][]string) (all []Login, err error) {
	for _, fields := range entries {
		if len(fields) != 7 {
			return nil, fmt.Errorf("list the accounts: %d fields in a line, expected 7", len(fields))
		}
		login, err := newLogin(fields[0], fields[2], fields[3], fields[5])
		if err != nil {
			return nil, err
		}
		all = append(all, login)
	}
	return all, nil
}
