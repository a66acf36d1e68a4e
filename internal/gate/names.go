package gate

import (
	"slices"

	"github.com/otpgate/otpgate/internal/nss"
)

// System asks the machine's name services (NSS): files, LDAP, SSSD and others.
type System struct {
	// Limit bounds what is asked in the name of one host, nil if nothing does.
	Limit *nss.Limit
}

// Canonical returns the system's own spelling of a login name, if it has one.
func (s System) Canonical(name string) (spelled string, known bool, err error) {
	account, found, err := s.Limit.UserByName(name)
	if err != nil {
		return "", false, err
	}
	if !found {
		return name, false, nil
	}
	return account.Name, true, nil
}

// Others returns the names of the uid that a name has, the first one first.
func (s System) Others(name string) ([]string, error) {
	account, found, err := s.Limit.UserByName(name)
	if err != nil || !found {
		return nil, err
	}
	return s.Limit.NamesOf(account.UID)
}

// InGroup says whether the person is a member, by the main group too. The password
// stage knew the person: if nobody else does, a name service did not answer, and
// that is doubt.
func (s System) InGroup(name, group string) (bool, error) { return s.Limit.IsMember(name, group) }

// HasGroup says whether there is such a group.
func (System) HasGroup(group string) (bool, error) {
	_, found, err := nss.GroupByName(group)
	return found, err
}

// ClientNames are what a client's system calls the person who logs in there. What
// groups there are, and who is in them, this machine's system says, as the policy is
// this machine's.
type ClientNames struct {
	// User is the name that was given, Names what the client's system calls the
	// person, its own spelling first; there are none if it does not know the name.
	User  string
	Names []string
	// Groups is asked about groups.
	Groups Names
}

// Canonical implements [Names].
func (c ClientNames) Canonical(user string) (name string, known bool, err error) {
	if len(c.Names) == 0 || user != c.User && !slices.Contains(c.Names, user) {
		return user, false, nil
	}
	return c.Names[0], true, nil
}

// Others implements [Names].
func (c ClientNames) Others(string) ([]string, error) { return c.Names, nil }

// InGroup implements [Names].
func (c ClientNames) InGroup(user, group string) (bool, error) {
	return c.Groups.InGroup(user, group)
}
