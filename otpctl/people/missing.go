package people

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// missingPerson is somebody who must give a code and has none to give.
type missingPerson struct {
	User       string    `json:"user"`
	State      string    `json:"state"`
	RequiredBy string    `json:"required_by"`
	Error      string    `json:"error,omitempty"`
	GraceUntil time.Time `json:"grace_until,omitzero"`
	GraceBegun bool      `json:"grace_begun,omitempty"`
}

// unlisted is a selector whose people cannot be listed in full.
type unlisted struct {
	Selector string `json:"selector"`
	Reason   string `json:"reason"`
}

type missingList struct {
	Missing  []missingPerson `json:"missing"`
	Unlisted []unlisted      `json:"unlisted"`
}

func listMissing(ctx context.Context, a *invocation.App, group string, asJSON bool) error {
	g, err := a.Gate()
	if err != nil {
		return err
	}
	list := missingList{Missing: []missingPerson{}, Unlisted: []unlisted{}}
	names, err := list.candidates(a, g, group)
	if err != nil {
		return err
	}
	broken := 0
	bar := a.Begin("people looked at", len(names))
	for _, name := range names {
		person, missing, err := missingOf(ctx, g, name)
		if err != nil {
			broken++
		}
		// Several names may lead to one secret file.
		if n := len(list.Missing); missing && (n == 0 || list.Missing[n-1].User != person.User) {
			list.Missing = append(list.Missing, person)
		}
		bar.Step()
	}
	a.Clear()
	if asJSON {
		err = a.JSON(list)
	} else {
		err = list.table(a, g.Config.Policy)
	}
	return errors.Join(err, list.incomplete(a, broken))
}

// missingOf says whether somebody must give a code and has none to give. Of whom that
// cannot be said is listed too.
func missingOf(ctx context.Context, g admin.People, name string) (missingPerson, bool, error) {
	m := missingPerson{User: name, State: stateNone}
	standing, err := g.StandingOf(name)
	if err != nil {
		m.State, m.Error = stateBroken, err.Error()
		return m, true, err
	}
	if m.RequiredBy = standing.RequiredBy; !standing.Required || standing.Person.Enrolled() {
		return m, false, nil
	}
	if standing.Found {
		m.User, m.State = standing.Person.User, state(standing.Person)
	}
	if m.GraceUntil, m.GraceBegun, err = g.GraceOf(ctx, name); err != nil {
		m.Error = err.Error()
	}
	return m, true, err
}

// candidates are those who may be required: of a group its members, or else those
// whom the policy's selectors name, and who has a secret file.
func (l *missingList) candidates(a *invocation.App, g admin.People, group string) ([]string, error) {
	selectors := slices.Clone(g.Config.Policy.Require)
	if group != "" {
		switch found, err := a.Groups.HasGroup(group); {
		case err != nil:
			return nil, err
		case !found:
			return nil, fmt.Errorf("group %q: %w", group, nss.ErrUnknownGroup)
		}
		selectors = []config.Selector{config.Selector("@" + group)}
	}
	if len(g.Config.Policy.Require) == 0 {
		a.Sum("policy.require is empty: nobody must enroll")
		return nil, nil
	}
	var names []string
	for _, selector := range selectors {
		names = append(names, l.selected(a, selector)...)
	}
	if group == "" {
		files, err := invocation.PeopleWithFiles(g)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		names = append(names, files...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// selected lists whom a selector selects, and notes why some may be missing.
func (l *missingList) selected(a *invocation.App, selector config.Selector) (names []string) {
	group := selector.Group()
	switch {
	case selector == config.All:
		return l.everybody(a, selector, "")
	case group == "":
		return []string{string(selector)}
	}
	members, err := a.MembersOf(group)
	if err != nil {
		// Logins take a group that cannot be looked up for everybody's.
		return l.everybody(a, selector, err.Error()+"; while that is so it holds for everybody")
	}
	l.missed(selector, members.Missing)
	for _, name := range members.Names {
		if account.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

func (l *missingList) everybody(a *invocation.App, selector config.Selector, reason string) (names []string) {
	l.missed(selector, reason)
	logins, missing, err := a.Everybody()
	if err != nil {
		l.missed(selector, err.Error())
		return nil
	}
	l.missed(selector, missing)
	isPerson := nss.PersonUIDs("/etc/login.defs")
	for _, login := range logins {
		if isPerson(login.UID) && account.CheckName(login.Name) == nil {
			names = append(names, login.Name)
		}
	}
	return names
}

func (l *missingList) missed(selector config.Selector, reason string) {
	if reason != "" {
		l.Unlisted = append(l.Unlisted, unlisted{string(selector), reason})
	}
}

func (l missingList) table(a *invocation.App, policy config.Policy) error {
	if len(l.Missing) == 0 {
		if len(policy.Require) > 0 && len(l.Unlisted) == 0 {
			a.Say("Everybody who must give a code has enrolled.")
		}
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tSTATE\tREQUIRED BY\tGRACE")
	for _, m := range l.Missing {
		by := m.RequiredBy
		if m.Error != "" {
			by = m.Error
		}
		grace := graceColumn(a, record{GraceUntil: m.GraceUntil, GraceBegun: m.GraceBegun})
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", invocation.Printable(m.User), m.State, strings.ReplaceAll(invocation.Printable(by), "\n", "; "), grace)
	}
	return table.Flush()
}

// incomplete says why the list is not whole.
func (l missingList) incomplete(a *invocation.App, broken int) error {
	var whole []string
	for _, u := range l.Unlisted {
		a.Note("%s cannot be listed in full: %s", u.Selector, u.Reason)
		if !slices.Contains(whole, u.Selector) {
			whole = append(whole, u.Selector)
		}
	}
	switch {
	case len(whole) > 0:
		return fmt.Errorf("there may be more people: %s", strings.Join(whole, ", "))
	case broken > 0:
		return fmt.Errorf("of %s it cannot be said whether they have enrolled", invocation.Counted(broken, "person", "people"))
	}
	return nil
}
