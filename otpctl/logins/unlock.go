package logins

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Unlock is otpctl unlock.
func Unlock(a *invocation.App) *cobra.Command {
	var source, client string
	c := &cobra.Command{
		Use:   "unlock USER... | --group GROUP | --source ADDRESS | --client NAME",
		Short: "Forget the wrong codes of a person, an address or a client",
		Long: `unlock forgets wrong codes, and so ends a lock: of people, or with --source of an
address, whoever gave them. IPv6 addresses are counted by their /64 network. For
people it also forgets how many codes were sent to them in the last hour, so that
more can be sent.

On a server, --client does the same for all logins of a client, and --client with
--source for an address as that client tells it.`,
		Example: `  otpctl unlock alice
  otpctl unlock --source 192.0.2.7
  otpctl unlock --client web1`,
		ValidArgsFunction: a.CompleteUsers,
	}
	s := invocation.SeveralPeople(c)
	c.Flags().StringVar(&source, "source", "", "`address` that wrong codes came from")
	c.Flags().StringVar(&client, "client", "", "`machine` whose logins are decided here")
	c.Args = func(c *cobra.Command, args []string) error {
		if source != "" || client != "" {
			return nil
		}
		return s.Args(c, args)
	}
	return a.Does(c, func(ctx context.Context, args []string) error {
		switch people := len(args) > 0 || s.Group != ""; {
		case (source != "" || client != "") && s.DryRun:
			return invocation.Usage("--source and --client do not go with --dry-run")
		case client != "" && people:
			return invocation.Usage("--client is about logins of everybody there: expected people or --client, not both")
		case source != "" && s.Json && people:
			return invocation.Usage("--json prints one document: expected people or --source, not both")
		}
		if len(args) > 0 || s.Group != "" {
			if err := a.Each(ctx, s, args, unlockOne(a)); err != nil {
				return err
			}
		}
		return unlockPlace(ctx, a, client, source, s.Json)
	})
}

// unlockPlace unlocks where logins come from, if that was asked for.
func unlockPlace(ctx context.Context, a *invocation.App, client, source string, asJSON bool) error {
	if client == "" && source == "" {
		return nil
	}
	g, err := a.Gate()
	if err != nil {
		return err
	}
	if client != "" {
		if err := isClient(g, client); err != nil {
			return err
		}
	}
	if source == "" {
		return unlockClient(ctx, a, g, client, asJSON)
	}
	return unlockSource(ctx, a, g, client, source, asJSON)
}

func unlockOne(a *invocation.App) invocation.Doing {
	return func(ctx context.Context, g admin.People, name string, dry bool) (string, bool, error) {
		// Who has no file cannot be locked out; the name is mistyped.
		if _, err := g.Accounts.Load(name); err != nil {
			return "", false, err
		}
		if dry {
			entry, err := g.Ledger.View(ctx, ledger.Key{Kind: ledger.User, Name: name})
			if err != nil || g.Forgets(entry) == (admin.Forgotten{}) {
				return noWrongCodes, false, err
			}
			return "would be unlocked", true, nil
		}
		was, err := g.Unlock(ctx, name)
		if err != nil || was == (admin.Forgotten{}) {
			return noWrongCodes, false, err
		}
		invocation.Changed(g, "unlock", audit.Record{User: name})
		return whatWasForgotten(a, was), true, nil
	}
}

const noWrongCodes = "there were no wrong codes"

// noWrongFrom says so of an address, and what it is if it is none.
func noWrongFrom(name string) string {
	_, address := netip.ParseAddr(name)
	_, network := netip.ParsePrefix(name) // as IPv6 is counted
	if address != nil && network != nil {
		return noWrongCodes + " from a host of this name, and it is no address"
	}
	return noWrongCodes
}

// unlockedSource is what became of an address, in the words of invocation.Outcome.
type unlockedSource struct {
	Source string `json:"source"`
	Result string `json:"result"`
	Detail string `json:"detail"`
}

func unlockSource(ctx context.Context, a *invocation.App, g admin.People, client, source string, asJSON bool) error {
	name, was, err := g.UnlockSource(ctx, client, source)
	if err != nil {
		return err
	}
	remote := strings.TrimPrefix(name, client+"/")
	done := unlockedSource{name, invocation.Unchanged, noWrongFrom(remote)}
	if was != (ledger.Attempts{}) {
		done.Result, done.Detail = invocation.ChangedResult, forgotten(a, was)
		invocation.Changed(g, "unlock", audit.Record{Remote: remote, Client: client})
	}
	if asJSON {
		return a.JSON(done)
	}
	a.Say("%s: %s", name, done.Detail)
	return nil
}

// forgotten says what an unlocking took away.
func forgotten(a *invocation.App, was ledger.Attempts) string {
	lock := ""
	if was.LockedUntil.After(a.Now()) {
		lock = fmt.Sprintf(", and the lock until %s is lifted", invocation.When(was.LockedUntil))
	}
	return invocation.Counted(was.Wrong, "wrong code is", "wrong codes are") + " forgotten" + lock
}
