package invocation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/nss"
)

// Groups asks the system about groups.
type Groups interface {
	HasGroup(group string) (bool, error)
	// InGroup says whether the person is a member, by the main group too.
	InGroup(name, group string) (bool, error)
}

// several is what a command that works on several people takes from its flags.
type several struct {
	Group        string
	DryRun, Json bool
}

// SeveralPeople gives c the flags of one that works on several people, named or
// in a group.
func SeveralPeople(c *cobra.Command) *several {
	s := new(several)
	f := c.Flags()
	f.StringVar(&s.Group, "group", "", "also everybody with a secret file who is in this `group` of the system, primary groups included")
	f.BoolVar(&s.DryRun, "dry-run", false, "change nothing, and say what would be changed")
	f.BoolVar(&s.Json, "json", false, "print a JSON array, an object for each person")
	return s
}

// Args wants a USER at least, or a group.
func (s *several) Args(_ *cobra.Command, args []string) error {
	if len(args) == 0 && s.Group == "" {
		return errors.New("nobody is named")
	}
	return nil
}

// Outcome is what became of one person.
type Outcome struct {
	User   string `json:"user"`
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// The results.
const (
	ChangedResult = "changed"
	wouldChange   = "would-change"
	Unchanged     = "unchanged"
	FailedResult  = "failed"
)

// Doing does something for one person, or with dry only finds out what it would
// do. It returns words for what was done, and whether that changed anything.
type Doing func(ctx context.Context, g admin.People, name string, dry bool) (words string, changed bool, err error)

// Each does one thing for several people. A failure does not keep the others
// from it.
func (a *App) Each(ctx context.Context, s *several, args []string, one Doing) error {
	g, err := a.Gate()
	if err != nil {
		return err
	}
	outcomes, err := a.members(g, s.Group)
	if err != nil {
		return err
	}
	names := slices.Clone(args)
	for _, o := range outcomes {
		if o.Error == "" && !slices.Contains(args, o.User) {
			names = append(names, o.User)
		}
	}
	outcomes = slices.DeleteFunc(outcomes, func(o Outcome) bool { return o.Error == "" })
	alone := s.Group == "" && len(args) == 1
	bar := a.Begin("people done", len(names))
	for _, name := range names {
		o, err := a.doOne(ctx, g, name, s, one)
		if err != nil && alone {
			if s.Json {
				err = errors.Join(a.JSON([]Outcome{o}), err)
			}
			return err
		}
		if err != nil {
			a.Complain(err)
		} else if !s.Json {
			a.Say("%s: %s", o.User, o.Detail)
		}
		outcomes = append(outcomes, o)
		bar.Step()
	}
	a.Clear()
	return a.sum(s, outcomes, alone)
}

func (a *App) doOne(ctx context.Context, g admin.People, given string, s *several, one Doing) (Outcome, error) {
	name, err := a.EnrolledName(g, given)
	if err != nil {
		return Outcome{User: given, Result: FailedResult, Error: err.Error()}, err
	}
	words, isNew, err := one(ctx, g, name, s.DryRun)
	switch {
	case err != nil:
		return Outcome{User: name, Result: FailedResult, Error: err.Error()}, err
	case isNew && s.DryRun:
		return Outcome{User: name, Result: wouldChange, Detail: words}, nil
	case isNew:
		return Outcome{User: name, Result: ChangedResult, Detail: words}, nil
	}
	return Outcome{User: name, Result: Unchanged, Detail: words}, nil
}

// sum ends the report.
func (a *App) sum(s *several, outcomes []Outcome, alone bool) error {
	if s.Json {
		if err := a.JSON(outcomes); err != nil {
			return err
		}
	}
	if alone {
		return nil
	}
	counts := map[string]int{}
	for _, o := range outcomes {
		counts[o.Result]++
	}
	var parts []string
	for _, part := range []struct{ result, words string }{
		{ChangedResult, "changed"}, {wouldChange, "would be changed"}, {Unchanged, "as before"}, {FailedResult, "failed"},
	} {
		if n := counts[part.result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, part.words))
		}
	}
	failed, tell := counts[FailedResult], a.Sum
	if failed > 0 {
		tell = a.Note
	}
	if len(outcomes) > 0 {
		tell("%s: %s", Counted(len(outcomes), "person", "people"), strings.Join(parts, ", "))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(outcomes))
	}
	return nil
}

// members finds those who have a secret file and are in the group. Somebody of
// whom that cannot be found out is an Outcome with an error; somebody whom the
// machine does not know is in no group.
func (a *App) members(g admin.People, group string) ([]Outcome, error) {
	outcomes := []Outcome{}
	if group == "" {
		return outcomes, nil
	}
	switch found, err := a.Groups.HasGroup(group); {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("group %q: %w", group, errUnknownGroup)
	}
	names, err := PeopleWithFiles(g)
	if err != nil {
		return nil, err
	}
	bar := a.Begin("looking for members of "+group, len(names))
	for _, name := range names {
		in, err := a.Groups.InGroup(name, group)
		switch {
		case errors.Is(err, ErrUnknownUser):
		case err != nil:
			err = fmt.Errorf("user %q: %w", name, err)
			a.Complain(err)
			outcomes = append(outcomes, Outcome{User: name, Result: FailedResult, Error: err.Error()})
		case in:
			outcomes = append(outcomes, Outcome{User: name})
		}
		bar.Step()
	}
	a.Clear()
	if len(outcomes) == 0 {
		a.Note("nobody in the group %s has a secret file", group)
	}
	return outcomes, nil
}

var errUnknownGroup = nss.ErrUnknownGroup

// PeopleWithFiles lists everybody who has a secret file.
func PeopleWithFiles(g admin.People) ([]string, error) {
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Names()
}

// SessionNames are the people named, who must have a secret file, or all who
// have one.
func (a *App) SessionNames(g admin.People, args []string) ([]string, error) {
	if len(args) == 0 {
		return PeopleWithFiles(g)
	}
	var names []string
	for _, given := range args {
		name, err := a.EnrolledName(g, given)
		if err != nil {
			return nil, err
		}
		if _, err := g.Accounts.Load(name); errors.Is(err, account.ErrNotFound) {
			return nil, err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Gather lists what of gives of each person, with progress. A failure is told, counted,
// and keeps nobody else out.
func Gather[T any](a *App, names []string, of func(name string) ([]T, error)) (list []T, failed int) {
	list = []T{}
	bar := a.Begin("people looked at", len(names))
	for _, name := range names {
		some, err := of(name)
		if err != nil {
			a.Complain(err)
			failed++
		}
		list = append(list, some...)
		bar.Step()
	}
	a.Clear()
	return list, failed
}

// ShowGathered shows a list, as JSON or by table, and fails if what of the people's could not
// be read.
func ShowGathered[T any](a *App, list []T, asJSON bool, table func(*App, []T) error, what string, failed, of int) error {
	show := table
	if asJSON {
		show = func(a *App, list []T) error { return a.JSON(list) }
	}
	if err := show(a, list); err != nil || failed == 0 {
		return err
	}
	return fmt.Errorf("%s of %d of %d people cannot be read", what, failed, of)
}
