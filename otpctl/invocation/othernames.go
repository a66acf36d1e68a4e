package invocation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/nss"
)

// Others implements Logins.
func (systemLogins) Others(name string) (uid uint32, others []string, err error) {
	login, found, err := nss.UserByName(name)
	if err != nil || !found {
		return 0, nil, err
	}
	names, err := nss.NamesOf(login.UID)
	return login.UID, slices.DeleteFunc(names, func(other string) bool { return other == login.Name }), err
}

// RemarkOnNames says which other login names name's uid has, as a login goes by
// all of them, and whose codes they are asked for.
func (a *App) RemarkOnNames(g admin.People, name string) {
	uid, others, err := a.Logins.Others(name)
	if err != nil {
		a.Note("whether the uid of %s has other names cannot be looked up: %v", name, err)
		return
	}
	whose := a.whose(g, name)
	if whose != "" && whose != name {
		a.Note("%s is another name of %s (uid %d), and is asked for the codes of %s", name, whose, uid, whose)
		return
	}
	var same, own, free []string
	for _, other := range others {
		switch a.whose(g, other) {
		case "":
			free = append(free, other)
		case other:
			own = append(own, other)
		default:
			same = append(same, fmt.Sprintf("%s (asked for the codes of %s)", other, a.whose(g, other)))
		}
	}
	if len(same) > 0 {
		a.Note("uid %d has other names: %s", uid, strings.Join(same, ", "))
	}
	if len(own) > 0 {
		a.Note("uid %d has other names with secret files of their own: %s; think of their devices too", uid, strings.Join(own, ", "))
	}
	switch {
	case len(free) == 0:
	case whose == name:
		a.Note("uid %d has other names: %s; a directory has one of them, so that a login by it does not find the secret file of %s and is not asked: %s rename %s %s",
			uid, strings.Join(free, ", "), name, a.Self(), name, free[0])
	default:
		a.Note("uid %d has other names: %s; none of them has a secret file", uid, strings.Join(free, ", "))
	}
}

// whose is the name of the secret file that a login by name finds, by the names of
// its uid; "" if there is none.
func (a *App) whose(g admin.People, name string) string {
	_, others, err := a.Logins.Others(name)
	if err != nil {
		return ""
	}
	for _, candidate := range append([]string{name}, others...) {
		if _, err := g.Accounts.Load(candidate); account.CheckName(candidate) == nil && !errors.Is(err, account.ErrNotFound) {
			return candidate
		}
	}
	return ""
}
