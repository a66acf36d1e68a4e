package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
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
	group        string
	dryRun, json bool
}

// severalPeople gives c the flags of one that works on several people, named or
// in a group.
func severalPeople(c *cobra.Command) *several {
	s := new(several)
	f := c.Flags()
	f.StringVar(&s.group, "group", "", "also everybody with a secret file who is in this `group` of the system, by the main group too")
	f.BoolVar(&s.dryRun, "dry-run", false, "change nothing, and say what would be changed")
	f.BoolVar(&s.json, "json", false, "print a JSON array, an object for each person")
	return s
}

// args wants a USER at least, or a group.
func (s *several) args(_ *cobra.Command, args []string) error {
	if len(args) == 0 && s.group == "" {
		return errors.New("nobody is named")
	}
	return nil
}

// outcome is what became of one person.
type outcome struct {
	User   string `json:"user"`
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// The results.
const (
	changedResult = "changed"
	wouldChange   = "would-change"
	unchanged     = "unchanged"
	failedResult  = "failed"
)

// doing does something for one person, or with dry only finds out what it would
// do. It returns words for what was done, and whether that changed anything.
type doing func(ctx context.Context, g admin.People, name string, dry bool) (words string, changed bool, err error)

// each does one thing for several people. A failure does not keep the others
// from it.
func (a *app) each(ctx context.Context, s *several, args []string, one doing) error {
	g, err := a.gate()
	if err != nil {
		return err
	}
	outcomes, err := a.members(g, s.group)
	if err != nil {
		return err
	}
	names := slices.Clone(args)
	for _, o := range outcomes {
		if o.Error == "" && !slices.Contains(args, o.User) {
			names = append(names, o.User)
		}
	}
	outcomes = slices.DeleteFunc(outcomes, func(o outcome) bool { return o.Error == "" })
	alone := s.group == "" && len(args) == 1
	bar := a.begin("people done", len(names))
	for _, name := range names {
		o, err := a.doOne(ctx, g, name, s, one)
		if err != nil && alone {
			if s.json {
				err = errors.Join(a.json([]outcome{o}), err)
			}
			return err
		}
		if err != nil {
			a.complain(err)
		} else if !s.json {
			a.say("%s: %s", o.User, o.Detail)
		}
		outcomes = append(outcomes, o)
		bar.step()
	}
	a.clear()
	return a.sum(s, outcomes, alone)
}

func (a *app) doOne(ctx context.Context, g admin.People, given string, s *several, one doing) (outcome, error) {
	name, err := a.enrolledName(g, given)
	if err != nil {
		return outcome{User: given, Result: failedResult, Error: err.Error()}, err
	}
	words, isNew, err := one(ctx, g, name, s.dryRun)
	switch {
	case err != nil:
		return outcome{User: name, Result: failedResult, Error: err.Error()}, err
	case isNew && s.dryRun:
		return outcome{User: name, Result: wouldChange, Detail: words}, nil
	case isNew:
		return outcome{User: name, Result: changedResult, Detail: words}, nil
	}
	return outcome{User: name, Result: unchanged, Detail: words}, nil
}

// sum ends the report.
func (a *app) sum(s *several, outcomes []outcome, alone bool) error {
	if s.json {
		if err := a.json(outcomes); err != nil {
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
		{changedResult, "changed"}, {wouldChange, "would be changed"}, {unchanged, "as before"}, {failedResult, "failed"},
	} {
		if n := counts[part.result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, part.words))
		}
	}
	if len(outcomes) > 0 {
		a.note("%s: %s", counted(len(outcomes), "person", "people"), strings.Join(parts, ", "))
	}
	if failed := counts[failedResult]; failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(outcomes))
	}
	return nil
}

// members finds those who have a secret file and are in the group. Somebody of
// whom that cannot be found out is an outcome with an error; somebody whom the
// machine does not know is in no group.
func (a *app) members(g admin.People, group string) ([]outcome, error) {
	outcomes := []outcome{}
	if group == "" {
		return outcomes, nil
	}
	switch found, err := a.Groups.HasGroup(group); {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("group %q: %w", group, errUnknownGroup)
	}
	names, err := peopleWithFiles(g)
	if err != nil {
		return nil, err
	}
	bar := a.begin("looking for members of "+group, len(names))
	for _, name := range names {
		in, err := a.Groups.InGroup(name, group)
		switch {
		case errors.Is(err, errUnknownUser):
		case err != nil:
			err = fmt.Errorf("user %q: %w", name, err)
			a.complain(err)
			outcomes = append(outcomes, outcome{User: name, Result: failedResult, Error: err.Error()})
		case in:
			outcomes = append(outcomes, outcome{User: name})
		}
		bar.step()
	}
	a.clear()
	if len(outcomes) == 0 {
		a.note("nobody in the group %s has a secret file", group)
	}
	return outcomes, nil
}

var errUnknownGroup = nss.ErrUnknownGroup

// peopleWithFiles lists everybody who has a secret file.
func peopleWithFiles(g admin.People) ([]string, error) {
	dir, err := account.Open(g.Config.Paths.Users, g.Config.Policy.OwnProtocols...)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Names()
}
