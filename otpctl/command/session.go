package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

func (a *app) session() *cobra.Command {
	return group(&cobra.Command{
		Use:   "session COMMAND",
		Short: "Show or end the logins that are remembered",
		Long: `A login is remembered where policy.session or policy.sessions says so: until its
time is over, no code is asked of the same person on the same protocol from the
same address.`,
		Example: `  otpctl session list
  otpctl session expire alice`,
	}, a.sessionList(), a.sessionExpire(), a.sessionClear())
}

// remembered is one session. What it was opened with is not shown.
type remembered struct {
	User     string    `json:"user"`
	Protocol string    `json:"protocol"`
	Address  string    `json:"address"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
}

func (a *app) sessionList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [USER...]",
		Short: "List the logins that are remembered and whose time is not over",
		Example: `  otpctl session list
  otpctl session list alice --json | jq -r '.[].address'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeUsers,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, an object for each")
	return a.does(c, func(ctx context.Context, args []string) error {
		g, err := a.gate()
		if err != nil {
			return err
		}
		names, err := a.sessionNames(g, args)
		if err != nil {
			return err
		}
		list, failed := a.sessions(ctx, g, names)
		if asJSON {
			err = a.json(list)
		} else {
			err = a.sessionTable(list)
		}
		if err == nil && failed > 0 {
			return fmt.Errorf("the logins of %d of %d people cannot be read", failed, len(names))
		}
		return err
	})
}

// sessionNames are the people named, who must have a secret file, or all who
// have one.
func (a *app) sessionNames(g admin.People, args []string) ([]string, error) {
	if len(args) == 0 {
		return peopleWithFiles(g)
	}
	var names []string
	for _, given := range args {
		name, err := a.enrolledName(g, given)
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

func (a *app) sessions(ctx context.Context, g admin.People, names []string) (list []remembered, failed int) {
	list = []remembered{}
	bar := a.begin("people looked at", len(names))
	for _, name := range names {
		sessions, err := g.Sessions(ctx, name)
		if err != nil {
			a.complain(fmt.Errorf("user %q: %w", name, err))
			failed++
		}
		slices.SortStableFunc(sessions, func(x, y ledger.Session) int {
			return cmp.Or(x.Until.Compare(y.Until), cmp.Compare(x.Protocol, y.Protocol))
		})
		for _, s := range sessions {
			list = append(list, remembered{name, s.Protocol, s.Address, s.Since, s.Until})
		}
		bar.step()
	}
	a.clear()
	return list, failed
}

func (a *app) sessionTable(list []remembered) error {
	if len(list) == 0 {
		a.note("no login is remembered")
		return nil
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tPROTOCOL\tADDRESS\tSINCE\tUNTIL")
	for _, s := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.User, printable(orDash(s.Protocol)), printable(orDash(s.Address)), when(s.Since), when(s.Until))
	}
	return table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (a *app) sessionExpire() *cobra.Command {
	var protocol, from string
	c := &cobra.Command{
		Use:   "expire USER... | --group GROUP",
		Short: "End somebody's remembered logins: the next one is asked for a code",
		Long: `expire forgets the remembered logins of people, all or those on one protocol or
from one address. The next login is asked for a code again. It ends no login
that is under way.`,
		Example: `  otpctl session expire alice
  otpctl session expire alice --protocol ftp --from 192.0.2.7
  otpctl session expire --group staff --from 10.0.0.0/8`,
		ValidArgsFunction: a.completeUsers,
	}
	s := severalPeople(c)
	c.Args = s.args
	c.Flags().StringVar(&protocol, "protocol", "", "only those on this `protocol`")
	c.Flags().StringVar(&from, "from", "", "only those from this `address` or network")
	completeBy(c, "protocol", a.completeProtocols)
	return a.does(c, func(ctx context.Context, args []string) (err error) {
		var wanted config.Protocol
		if c.Flags().Changed("protocol") {
			if wanted, err = a.protocol(protocol); err != nil {
				return err
			}
		}
		var network config.Network
		if c.Flags().Changed("from") {
			if err := network.UnmarshalText([]byte(from)); err != nil {
				return usage("--from %q: %w", from, err)
			}
		}
		match := func(s ledger.Session) bool {
			at, err := netip.ParseAddr(s.Address)
			return (wanted == "" || s.Protocol == string(wanted)) && (from == "" || err == nil && network.Overlaps(gate.PlaceOf(at)))
		}
		return a.each(ctx, s, args, func(ctx context.Context, g admin.People, name string, dry bool) (string, bool, error) {
			// Who cannot be read can still be made to give a code.
			if _, err := g.Accounts.Load(name); errors.Is(err, account.ErrNotFound) {
				return "", false, err
			}
			return a.expireOne(ctx, g, "session expire", name, match, dry)
		})
	})
}

func (a *app) expireOne(ctx context.Context, g admin.People, command, name string, match func(ledger.Session) bool, dry bool) (string, bool, error) {
	if dry {
		sessions, err := g.Sessions(ctx, name)
		n := len(slices.DeleteFunc(sessions, func(s ledger.Session) bool { return !match(s) }))
		return counted(n, "remembered login", "remembered logins") + " would be ended", n > 0, err
	}
	n, err := g.ExpireSessions(ctx, name, match)
	if err != nil || n == 0 {
		return "there was none to end", false, err
	}
	words := counted(n, "remembered login is ended", "remembered logins are ended")
	changed(g, command, audit.Record{User: name, Reason: words})
	return words, true, nil
}

func (a *app) sessionClear() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:     "clear",
		Short:   "End everybody's remembered logins",
		Example: "  otpctl session clear --yes",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return a.does(c, func(ctx context.Context, _ []string) error {
		g, err := a.gate()
		if err != nil {
			return err
		}
		names, err := peopleWithFiles(g)
		if err != nil {
			return err
		}
		if err := a.sure(ctx, yes, "End everybody's remembered logins? The next login of each is asked for a code.", "nothing is ended"); err != nil {
			return err
		}
		return a.clearSessions(ctx, g, names)
	})
}

func (a *app) clearSessions(ctx context.Context, g admin.People, names []string) error {
	all := func(ledger.Session) bool { return true }
	people, failed := 0, 0
	bar := a.begin("people done", len(names))
	for _, name := range names {
		words, isNew, err := a.expireOne(ctx, g, "session clear", name, all, false)
		switch {
		case err != nil:
			a.complain(fmt.Errorf("user %q: %w", name, err))
			failed++
		case isNew:
			people++
			a.say("%s: %s", name, words)
		}
		bar.step()
	}
	a.clear()
	if people == 0 && failed == 0 {
		a.say("There was none to end.")
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(names))
	}
	return nil
}
