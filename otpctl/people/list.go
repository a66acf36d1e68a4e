package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// List is otpctl list.
func List(a *invocation.App) *cobra.Command {
	var asJSON, missing bool
	var group string
	c := &cobra.Command{
		Use:   "list",
		Short: "List everybody who has a secret file, or must enroll",
		Long: `list shows a line for each secret file. For a file that cannot be read, or that
logins would refuse for its owner or mode, the line says what is wrong, and the
exit status is 1. It also names files whose names cannot be those of secret files.

With --missing it lists people who must give a code by policy.require and have not
enrolled: people without a secret file or a confirmed factor, and people who are
disabled. Accounts of the system (uid below UID_MIN of login.defs, but root) are
left out unless the policy names them or their group. With --json it prints an
object: missing is the list, unlisted names groups, and all, that could not be
listed in full, with the reason. Then the exit status is 1; it is 0 if the list is
whole, whoever is in it.

--group lists only people who are in a group, primary groups included.

Without --missing, people who have no secret file are not listed, even while
policy.grace lets them in: see otpctl status USER.`,
		Example: `  otpctl list
  otpctl list --missing --group staff
  otpctl list --missing --json | jq -r '.missing[].user'
  otpctl list --json | jq -r '.[] | select(.state == "unconfirmed") | .user'`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, an object for each person as of otpctl status")
	c.Flags().BoolVar(&missing, "missing", false, "list people who must give a code and have not enrolled")
	c.Flags().StringVar(&group, "group", "", "only people in this `group` of the system")
	return a.Does(c, func(ctx context.Context, _ []string) error {
		if missing {
			return listMissing(ctx, a, group, asJSON)
		}
		records, broken, unsure, err := records(ctx, a, group)
		switch {
		case err != nil:
			return err
		case asJSON:
			err = a.JSON(records)
		case group != "" && len(records) == 0: // that was said
		default:
			err = table(a, records)
		}
		if err == nil && unsure > 0 {
			err = fmt.Errorf("of %s it cannot be said whether they are in the group", invocation.Counted(unsure, "person", "people"))
		}
		if err == nil && broken > 0 {
			return fmt.Errorf("%d of %d secret files cannot be read", broken, len(records))
		}
		return err
	})
}

func records(ctx context.Context, a *invocation.App, group string) (records []record, broken, unsure int, err error) {
	g, err := a.Gate()
	if err != nil {
		return nil, 0, 0, err
	}
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return nil, 0, 0, err
	}
	defer dir.Close()
	names, strays, err := dir.List()
	if err != nil {
		return nil, 0, 0, err
	}
	expected := "LOGIN.toml"
	if gate.PlaceOf(g.Config).Away {
		expected = "LOGIN/LOGIN, the first in small letters"
	}
	for _, name := range strays {
		a.Note("%s/%s is nobody's secret file by its name: expected %s", gate.PlaceOf(g.Config).Path, name, expected)
	}
	var nobodys map[string]bool
	if group != "" {
		if names, unsure, err = a.InGroup(names, group); err != nil {
			return nil, 0, 0, err
		}
	} else {
		nobodys = remarkOnNobodys(a, dir, names)
	}
	records = []record{}
	for _, name := range names {
		r, err := recordOf(ctx, a, g, dir, name)
		if errors.Is(err, account.ErrNotFound) {
			continue // removed since the names were read
		}
		if err != nil {
			broken++
		}
		r.UnknownUser, r.LastLogins = nobodys[name], nil
		records = append(records, r)
	}
	return records, broken, unsure, nil
}

func table(a *invocation.App, records []record) error {
	if len(records) == 0 {
		a.Sum("nobody has a secret file yet: see %s enroll --help", a.Self())
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	grace := slices.ContainsFunc(records, func(r record) bool { return !r.GraceUntil.IsZero() })
	head := "USER\tSTATE\tFACTORS\tKINDS\tRECOVERY LEFT\tLAST LOGIN\tLOCKED"
	if grace {
		head += "\tGRACE"
	}
	fmt.Fprintln(table, head)
	for _, r := range records {
		if r.State == stateBroken {
			fmt.Fprintf(table, "%s\t%s\t%s\n", r.User, r.State, strings.ReplaceAll(invocation.Printable(r.Error), "\n", "; "))
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s", r.User, r.State, factorNames(r.Factors), kindColumn(r.Factors),
			strconv.Itoa(r.RecoveryLeft), invocation.When(r.LastLogin), until(r.LockedUntil))
		if grace {
			fmt.Fprint(table, "\t"+graceColumn(a, r))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

func graceColumn(a *invocation.App, r record) string {
	switch {
	case r.GraceUntil.IsZero():
		return "-"
	case !r.GraceBegun:
		return "not begun"
	case a.Now().Before(r.GraceUntil):
		return "until " + invocation.When(r.GraceUntil)
	}
	return "over"
}

func factorNames(factors []factorRecord) string {
	if len(factors) == 0 {
		return "-"
	}
	var names []string
	for _, f := range factors {
		name := f.ID
		switch {
		case f.Replaces:
			name += " (waits to replace it)"
		case !f.Confirmed:
			name += " (unconfirmed)"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// kindColumn lists the kinds of the factors, each once.
func kindColumn(factors []factorRecord) string {
	var names []string
	for _, f := range factors {
		if !slices.Contains(names, string(f.Kind)) {
			names = append(names, string(f.Kind))
		}
	}
	return invocation.OrDash(strings.Join(names, ", "))
}

func until(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return "until " + invocation.When(t)
}
