// Package nss asks the machine's name services about people and groups: files,
// LDAP, SSSD and whatever else /etc/nsswitch.conf names.
//
// The entry points are [UserByName], [UserByID], [GroupByName], [GroupsOf] and
// [IsMember], and [Limit] for questions in somebody else's name. They promise that doubt never looks like an answer: somebody is
// unknown only if the C library says so, which is success without an entry.
// Package os/user takes ENOENT for that too, with which several services say that
// they cannot be reached. Questions are asked beside each other, with a bound on
// those under way, and one that is not answered in time is an error for whoever
// asked it.
package nss

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// User is an account of the machine.
type User struct {
	// Name is the system's own spelling.
	Name     string
	UID, GID uint32
	Home     string
}

// Group is a group of the machine, without its members.
type Group struct {
	Name string
	GID  uint32
}

// ErrUnknownUser and ErrUnknownGroup are wrapped by errors that say for certain
// that there is no such user or group.
var (
	ErrUnknownUser  = errors.New("this machine knows no such user")
	ErrUnknownGroup = errors.New("this machine knows no such group")
)

// UserByName finds somebody by the login name. found is false if it is certain
// that there is nobody of that name.
func UserByName(name string) (u User, found bool, err error) { return (*Limit)(nil).UserByName(name) }

// UserByName is [UserByName] within the limit.
func (l *Limit) UserByName(name string) (u User, found bool, err error) {
	local := isLocal(PasswdPath, func(own string, _ uint32) bool { return own == name })
	return askOnce(askerFor(local), l, "user "+strconv.Quote(name), func() (User, bool, error) { return getpwnam(name) })
}

// UserByID finds the account that a uid has as its first name: several names may
// have the same one.
func UserByID(uid uint32) (u User, found bool, err error) { return (*Limit)(nil).UserByID(uid) }

// UserByID is [UserByID] within the limit.
func (l *Limit) UserByID(uid uint32) (u User, found bool, err error) {
	local := isLocal(PasswdPath, func(_ string, own uint32) bool { return own == uid })
	return askOnce(askerFor(local), l, "uid "+strconv.FormatUint(uint64(uid), 10), func() (User, bool, error) { return getpwuid(uid) })
}

// GroupByName finds a group.
func GroupByName(name string) (g Group, found bool, err error) {
	about, found, err := (*Limit)(nil).groupByName(name, nil)
	return about.Group, found, err
}

// GroupsOf lists the ids of the groups that somebody is in, the main one among
// them. The C library cannot say that a service did not answer: where that can be
// seen at all, it is an error.
func GroupsOf(u User) ([]uint32, error) { return (*Limit)(nil).groupsOf(u) }

func (l *Limit) groupsOf(u User) ([]uint32, error) {
	gids, _, err := askOnce(groups, l, fmt.Sprintf("groups of user %q", u.Name), func() ([]uint32, bool, error) {
		gids, err := initgroups(u.Name, u.GID)
		return gids, true, err
	})
	return gids, err
}

// IsMember says whether somebody is in a group: by the main group, by the group's
// own list, or by the list of the person's groups. Any one is enough, as a service
// may have lost one of them and not the others.
func IsMember(name, group string) (bool, error) { return (*Limit)(nil).IsMember(name, group) }

// IsMember is [IsMember] within the limit.
func (l *Limit) IsMember(name, group string) (bool, error) {
	u, found, err := l.UserByName(name)
	if err != nil {
		return false, err
	}
	if !found {
		return false, fmt.Errorf("user %q: %w", name, ErrUnknownUser)
	}
	g, found, err := l.groupByName(group, []string{name, u.Name})
	if err != nil {
		return false, err
	}
	if !found {
		return false, fmt.Errorf("group %q: %w", group, ErrUnknownGroup)
	}
	if g.listed || g.GID == u.GID {
		return true, nil
	}
	gids, err := l.groupsOf(u)
	return slices.Contains(gids, g.GID), err
}

// listing is a group, and whether its own list has one of some names.
type listing struct {
	Group
	listed bool
}

func (l *Limit) groupByName(name string, members []string) (listing, bool, error) {
	question := fmt.Sprintf("group %q", name)
	if members != nil {
		question += fmt.Sprintf(" and its members %q", members)
	}
	return askOnce(groups, l, question, func() (listing, bool, error) { return getgrnam(name, members) })
}
