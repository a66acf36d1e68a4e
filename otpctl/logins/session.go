// Package logins has otpctl's commands about logins: those that are remembered,
// those that are locked, and what would become of one.
//
// Each exported function is a command, named as on the command line. None of them
// shows or changes a secret.
package logins

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
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Session is otpctl session.
func Session(a *invocation.App) *cobra.Command {
	return invocation.Group(&cobra.Command{
		Use:   "session COMMAND",
		Short: "Show or end remembered logins",
		Long: `With policy.session or policy.sessions, a login is remembered: until its time is
over, the same person is not asked for a code on the same protocol from the same
address.`,
		Example: `  otpctl session list
  otpctl session expire alice`,
	}, sessionList(a), sessionExpire(a), sessionClear(a))
}

// remembered is one session. What it was opened with is not shown.
type remembered struct {
	User     string    `json:"user"`
	Protocol string    `json:"protocol"`
	Address  string    `json:"address"`
	Client   string    `json:"client,omitempty"`
	Peer     string    `json:"peer,omitempty"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
}

func sessionList(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [USER...]",
		Short: "List remembered logins whose time is not over",
		Example: `  otpctl session list
  otpctl session list alice --json | jq -r '.[].address'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.CompleteUsers,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, an object for each")
	return a.Does(c, func(ctx context.Context, args []string) error {
		g, err := a.Gate()
		if err != nil {
			return err
		}
		names, err := a.SessionNames(g, args)
		if err != nil {
			return err
		}
		list, failed := invocation.Gather(a, names, func(name string) ([]remembered, error) { return sessions(ctx, g, name) })
		return invocation.ShowGathered(a, list, asJSON, sessionTable, "the logins", failed, len(names))
	})
}

func sessions(ctx context.Context, g admin.People, name string) (list []remembered, err error) {
	found, err := g.Sessions(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	slices.SortStableFunc(found, func(x, y ledger.Session) int {
		return cmp.Or(x.Until.Compare(y.Until), cmp.Compare(x.Protocol, y.Protocol))
	})
	for _, s := range found {
		list = append(list, remembered{name, s.Protocol, s.Address, s.Client, s.Peer, s.Since, s.Until})
	}
	return list, nil
}

func sessionTable(a *invocation.App, list []remembered) error {
	if len(list) == 0 {
		a.Sum("no login is remembered")
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tPROTOCOL\tADDRESS\tSINCE\tUNTIL")
	for _, s := range list {
		address := invocation.OrDash(s.Address)
		switch {
		case s.Client != "" && s.Peer != "":
			// All of a client's are one peer, whose name says no more than the client's.
			address += " on " + s.Client + " for programs that are not root's"
		case s.Client != "":
			address += " on " + s.Client
		case s.Peer != "":
			address += " for programs of " + s.Peer
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.User, invocation.Printable(invocation.OrDash(s.Protocol)), invocation.Printable(address), invocation.When(s.Since), invocation.When(s.Until))
	}
	return table.Flush()
}

func sessionExpire(a *invocation.App) *cobra.Command {
	var protocol, from string
	c := &cobra.Command{
		Use:   "expire USER... | --group GROUP",
		Short: "End somebody's remembered logins: the next one is asked for a code",
		Long: `expire forgets remembered logins of people: all, or those on one protocol or from
one address. The next login is asked for a code again. Open sessions go on.`,
		Example: `  otpctl session expire alice
  otpctl session expire alice --protocol ftp --from 192.0.2.7
  otpctl session expire --group staff --from 10.0.0.0/8`,
		ValidArgsFunction: a.CompleteUsers,
	}
	s := invocation.SeveralPeople(c)
	c.Args = s.Args
	c.Flags().StringVar(&protocol, "protocol", "", "only those on this `protocol`")
	c.Flags().StringVar(&from, "from", "", "only those from this `address` or network")
	invocation.CompleteBy(c, "protocol", a.CompleteProtocols)
	return a.Does(c, func(ctx context.Context, args []string) (err error) {
		var wanted config.Protocol
		if c.Flags().Changed("protocol") {
			if wanted, err = a.Protocol(protocol); err != nil {
				return err
			}
		}
		var network config.Network
		if c.Flags().Changed("from") {
			if err := network.UnmarshalText([]byte(from)); err != nil {
				return invocation.Usage("--from %q: %w", from, err)
			}
		}
		match := func(s ledger.Session) bool {
			at, err := netip.ParseAddr(s.Address)
			return (wanted == "" || s.Protocol == string(wanted)) && (from == "" || err == nil && network.Overlaps(gate.SessionNetwork(at)))
		}
		return a.Each(ctx, s, args, func(ctx context.Context, g admin.People, name string, dry bool) (string, bool, error) {
			// Who cannot be read can still be made to give a code.
			if _, err := g.Accounts.Load(name); errors.Is(err, account.ErrNotFound) {
				return "", false, err
			}
			return expireOne(ctx, a, g, "session expire", name, match, dry)
		})
	})
}

func expireOne(ctx context.Context, a *invocation.App, g admin.People, command, name string, match func(ledger.Session) bool, dry bool) (string, bool, error) {
	if dry {
		sessions, err := g.Sessions(ctx, name)
		n := len(slices.DeleteFunc(sessions, func(s ledger.Session) bool { return !match(s) }))
		return invocation.Counted(n, "remembered login", "remembered logins") + " would be ended", n > 0, err
	}
	n, err := g.ExpireSessions(ctx, name, match)
	if err != nil || n == 0 {
		return "there was none to end", false, err
	}
	words := invocation.Counted(n, "remembered login is ended", "remembered logins are ended")
	invocation.Changed(g, command, audit.Record{User: name, Reason: words})
	return words, true, nil
}

func sessionClear(a *invocation.App) *cobra.Command {
	var yes, asJSON bool
	c := &cobra.Command{
		Use:     "clear",
		Short:   "End everybody's remembered logins",
		Example: "  otpctl session clear --yes",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, an object for each person who had any")
	return a.Does(c, func(ctx context.Context, _ []string) error {
		g, err := a.Gate()
		if err != nil {
			return err
		}
		names, err := invocation.PeopleWithFiles(g)
		if err != nil {
			return err
		}
		if err := a.Sure(ctx, yes, "End everybody's remembered logins? The next login of each is asked for a code.", "nothing is ended"); err != nil {
			return err
		}
		return clearSessions(ctx, a, g, names, asJSON)
	})
}

func clearSessions(ctx context.Context, a *invocation.App, g admin.People, names []string, asJSON bool) error {
	all := func(ledger.Session) bool { return true }
	outcomes, failed := []invocation.Outcome{}, 0
	bar := a.Begin("people done", len(names))
	for _, name := range names {
		words, isNew, err := expireOne(ctx, a, g, "session clear", name, all, false)
		switch {
		case err != nil:
			a.Complain(fmt.Errorf("user %q: %w", name, err))
			failed++
			outcomes = append(outcomes, invocation.Outcome{User: name, Result: invocation.FailedResult, Error: err.Error()})
		case isNew:
			outcomes = append(outcomes, invocation.Outcome{User: name, Result: invocation.ChangedResult, Detail: words})
			if !asJSON {
				a.Say("%s: %s", name, words)
			}
		}
		bar.Step()
	}
	a.Clear()
	switch {
	case asJSON:
		if err := a.JSON(outcomes); err != nil {
			return err
		}
	case len(outcomes) == 0:
		a.Say("There was none to end.")
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(names))
	}
	return nil
}
