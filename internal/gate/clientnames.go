package gate

import "slices"

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
