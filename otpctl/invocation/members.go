package invocation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/nss"
)

// MemberLister is a Groups that lists who stands in a group's own list. Who has the
// group as the main one mostly does not.
type MemberLister interface {
	Members(group string) ([]string, error)
}

// systemGroups are those of NSS.
type systemGroups struct{ gate.System }

// Members implements MemberLister.
func (systemGroups) Members(group string) ([]string, error) {
	entries, err := nss.List(context.Background(), "group", group)
	switch {
	case err != nil:
		return nil, err
	case len(entries) == 0:
		return nil, fmt.Errorf("group %q: %w", group, nss.ErrUnknownGroup)
	}
	return nss.ListedMembers(entries[0]), nil
}

// Listed are names, and what may be missing from them.
type Listed struct {
	Names []string
	// Missing says why there may be more, "" if there are none.
	Missing string
}

// MembersOf lists the members of a group: those in its list, and of the accounts that
// can be listed those who are in it, by the main group too.
func (a *App) MembersOf(group string) (Listed, error) {
	switch found, err := a.Groups.HasGroup(group); {
	case err != nil:
		return Listed{}, err
	case !found:
		return Listed{}, fmt.Errorf("group %q: %w", group, nss.ErrUnknownGroup)
	}
	var listed Listed
	if lister, can := a.Groups.(MemberLister); can {
		names, err := lister.Members(group)
		if err != nil {
			return Listed{}, err
		}
		listed.Names = names
	}
	logins, err := a.Logins.All()
	if err != nil {
		return Listed{}, err
	}
	for _, login := range logins {
		if slices.Contains(listed.Names, login.Name) {
			continue
		}
		in, err := a.Groups.InGroup(login.Name, group)
		switch {
		case errors.Is(err, nss.ErrUnknownUser):
		case err != nil:
			return Listed{}, fmt.Errorf("user %q: %w", login.Name, err)
		case in:
			listed.Names = append(listed.Names, login.Name)
		}
	}
	if len(listed.Names) == 0 {
		listed.Missing = "no member can be listed; a directory may hide them"
	}
	return listed, nil
}

// InGroup finds those of some people who are in a group, and counts those of whom that
// cannot be said, after saying so.
func (a *App) InGroup(names []string, group string) (in []string, failed int, err error) {
	switch found, err := a.Groups.HasGroup(group); {
	case err != nil:
		return nil, 0, err
	case !found:
		return nil, 0, fmt.Errorf("group %q: %w", group, nss.ErrUnknownGroup)
	}
	bar := a.Begin("looking for members of "+group, len(names))
	for _, name := range names {
		ok, err := a.Groups.InGroup(name, group)
		switch {
		case errors.Is(err, nss.ErrUnknownUser):
		case err != nil:
			a.Complain(fmt.Errorf("user %q: %w", name, err))
			failed++
		case ok:
			in = append(in, name)
		}
		bar.Step()
	}
	a.Clear()
	if len(in) == 0 {
		a.Note("nobody in the group %s has a secret file", group)
	}
	return in, failed, nil
}

// Everybody lists the accounts that can be listed.
func (a *App) Everybody() (logins []Login, missing string, err error) {
	if logins, err = a.Logins.All(); err != nil {
		return nil, "", err
	}
	if _, system := a.Logins.(systemLogins); !system {
		return logins, "", nil
	}
	data, err := os.ReadFile("/etc/nsswitch.conf")
	if err != nil {
		return logins, "", nil // the C library asks files alone then
	}
	var hiding []string
	for _, service := range nss.ServicesOf(data, "passwd") {
		if !nss.IsOwn(service) && service != "extrausers" && service != "db" { // these list all of theirs too
			hiding = append(hiding, service)
		}
	}
	if len(hiding) > 0 {
		missing = fmt.Sprintf("accounts of the name service %s are listed only if it is set up to list them (for sssd: enumerate)", strings.Join(hiding, ", "))
	}
	return logins, missing, nil
}
