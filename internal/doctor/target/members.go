package target

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/nss"
)

// Member is somebody with those groups that were asked for.
type Member struct {
	Name   string
	Groups []string
}

// Members are those of the groups that wanted is true of: by their lists, and whose
// own group it is. Of each group the first one comes before all others. Named are
// looked up even where the name service does not list all groups.
func (m *Machine) Members(ctx context.Context, named []string, wanted func(group string) bool) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, LookingUp)
	defer cancel()
	groups, err := m.database(ctx, "group")
	for _, name := range named {
		listed := func(fields []string) bool { return fields[0] == name }
		if err == nil && !slices.ContainsFunc(groups, listed) {
			var more [][]string
			more, err = m.database(ctx, "group", name)
			groups = append(groups, more...)
		}
	}
	groups = slices.DeleteFunc(groups, func(fields []string) bool { return len(fields) < 4 || !wanted(fields[0]) })
	if err != nil || len(groups) == 0 {
		return nil, err
	}
	users, err := m.database(ctx, "passwd")
	own := map[string][]string{} // by the number of their group
	for _, group := range groups {
		own[group[2]] = nil
	}
	for _, user := range users {
		if len(user) < 4 {
			continue
		}
		if members, wanted := own[user[3]]; wanted {
			own[user[3]] = append(members, user[0])
		}
	}
	var first, others []string
	of := map[string][]string{}
	for _, group := range groups {
		members := append(nss.ListedMembers(group), own[group[2]]...)
		for _, name := range members {
			of[name] = append(of[name], group[0])
		}
		if len(members) > 0 {
			first, others = append(first, members[0]), append(others, members[1:]...)
		}
	}
	var found []Member
	for _, name := range append(first, others...) {
		if groups, left := of[name]; left {
			found = append(found, Member{name, groups})
			delete(of, name)
		}
	}
	return found, err
}

// database lists entries of the name service, or those of the file in a tree that
// is no machine, once for all who ask. A key that it does not know is no error. One
// that does not answer is asked no more: each time might take as long.
func (m *Machine) database(ctx context.Context, kind string, key ...string) (entries [][]string, err error) {
	known := strings.Join(append(key, kind), ":")
	if entries, listed := m.listings[known]; listed {
		return slices.Clone(entries), nil
	}
	if m.silent != nil {
		return nil, m.silent
	}
	if entries, err = m.list(ctx, kind, key...); err != nil {
		m.silent = err
		return nil, err
	}
	if m.listings == nil {
		m.listings = map[string][][]string{}
	}
	m.listings[known] = entries
	return slices.Clone(entries), nil
}

// list is what the database says, or its file in a tree that is no machine.
func (m *Machine) list(ctx context.Context, kind string, key ...string) ([][]string, error) {
	switch {
	case m.Root == "":
		return nss.List(ctx, kind, key...)
	case len(key) > 0:
		return nil, nil
	}
	text, err := Read(m.Root, "/etc/"+kind)
	if err != nil {
		return nil, fmt.Errorf("list the %s database: %w", kind, err)
	}
	return nss.Entries(text), nil
}
