package gate

import "github.com/otpgate/otpgate/internal/nss"

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
