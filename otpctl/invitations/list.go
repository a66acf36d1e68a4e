package invitations

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

func list(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List invitations, and what has become of them",
		Long: `list shows each invitation until a day after its end: ready as long as the link is
good, used once somebody enrolled by it, expired, cancelled (also by a newer link),
disabled if the person is, and overtaken if it was to replace a device and the
person's devices are others by now. Those of people who were removed are not shown.`,
		Example: `  otpctl invite list
  otpctl invite list --json | jq -r '.[] | select(.state == "ready") | .user'`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, an object for each invitation")
	return a.Does(c, func(ctx context.Context, _ []string) error {
		g, err := a.Gate()
		if err != nil {
			return err
		}
		names, err := invocation.PeopleWithFiles(g)
		if err != nil {
			return err
		}
		links, failed := invocation.Gather(a, names, func(name string) ([]invitation.Listed, error) { return of(g).ListOf(ctx, name) })
		return invocation.ShowGathered(a, links, asJSON, table, "the invitations", failed, len(names))
	})
}

func of(g admin.People) invitation.Invitations {
	return invitation.Invitations{People: g, Random: rand.Reader}
}

func table(a *invocation.App, links []invitation.Listed) error {
	if len(links) == 0 {
		a.Sum("nobody is invited")
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tSTATE\tDEVICE\tINVITED\tOPENED\tENDS")
	for _, l := range links {
		device := l.Factor
		if l.Replace {
			device += " (replaced)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", l.User, l.State, device, invocation.When(l.Made), invocation.When(l.Opened), invocation.When(l.Ends))
	}
	return table.Flush()
}

func cancel(a *invocation.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "cancel USER... | --group GROUP",
		Short: "End somebody's invitations: the links are good no longer",
		Long: `cancel ends links that are good, and takes away what they showed and nobody has
confirmed. It also closes the page of self-service where that is open for the
person, and ends the links to it. Devices that count stay; otpctl remove takes those
away.`,
		Example: `  otpctl invite cancel alice
  otpctl invite cancel --group staff`,
		ValidArgsFunction: a.CompleteUsers,
	}
	s := invocation.SeveralPeople(c)
	c.Args = s.Args
	return a.Does(c, func(ctx context.Context, args []string) error {
		return a.Each(ctx, s, args, func(ctx context.Context, g admin.People, name string, dry bool) (string, bool, error) {
			return cancelOne(ctx, g, name, dry)
		})
	})
}

func cancelOne(ctx context.Context, g admin.People, name string, dry bool) (words string, changed bool, err error) {
	// Of whom nothing can be read, the links can still be ended.
	if _, err := g.Accounts.Load(name); errors.Is(err, account.ErrNotFound) {
		return "", false, err
	}
	if dry {
		links, err := of(g).ListOf(ctx, name)
		n := 0
		for _, l := range links {
			if l.State == invitation.Ready.String() {
				n++
			}
		}
		if err != nil {
			return "", false, err
		}
		pages, err := g.OpenPages(ctx, name)
		words := invocation.Counted(n, "invitation", "invitations") + " would be cancelled"
		if pages > 0 {
			words += ", and " + invocation.Counted(pages, "page or link", "pages or links") + " of self-service would end"
		}
		return words, n+pages > 0, err
	}
	// Links may be cancelled although what they showed could not be taken away.
	was, err := of(g).Cancel(ctx, name)
	switch {
	case was.Invitations+was.Pages == 0:
		return "there was none to cancel", false, err
	case was.Invitations > 0:
		words = invocation.Counted(was.Invitations, "invitation is cancelled", "invitations are cancelled")
	}
	if was.Pages > 0 {
		words += map[bool]string{true: ", and "}[words != ""] + invocation.Counted(was.Pages, "page or link of self-service is ended", "pages or links of self-service are ended")
	}
	invocation.Changed(g, "invite cancel", audit.Record{User: name, Reason: words})
	if err != nil {
		return words, true, fmt.Errorf("%s, but: %w", words, err)
	}
	return words, true, nil
}
