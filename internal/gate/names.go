package gate

import (
	"errors"
	"fmt"
	"os/user"
	"slices"

	"github.com/otpgate/otpgate/internal/groups"
)

// System asks the machine's name services (NSS): files, LDAP, SSSD and others.
type System struct{}

// Canonical returns the system's own spelling of a login name, if it has one.
func (System) Canonical(name string) (spelled string, known bool, err error) {
	account, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return name, false, nil
	}
	if err != nil {
		return "", false, err
	}
	return account.Username, true, nil
}

// InGroup says whether the person is a member, by the main group too.
func (System) InGroup(name, group string) (bool, error) {
	wanted, err := user.LookupGroup(group)
	if err != nil {
		return false, fmt.Errorf("look up group %q: %w", group, err)
	}
	// The password stage knew the person. If nobody else does, a name service
	// did not answer, and that is doubt.
	account, err := user.Lookup(name)
	if err != nil {
		return false, fmt.Errorf("look up user: %w", err)
	}
	found, err := groups.Of(account)
	if err != nil {
		return false, fmt.Errorf("look up groups: %w", err)
	}
	return slices.Contains(found, wanted.Gid), nil
}

// HasGroup says whether there is such a group.
func (System) HasGroup(group string) (bool, error) {
	_, err := user.LookupGroup(group)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up group %q: %w", group, err)
	}
	return true, nil
}
