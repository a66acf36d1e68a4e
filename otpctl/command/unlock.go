package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

func (a *app) unlock() *cobra.Command {
	var source string
	c := &cobra.Command{
		Use:   "unlock USER... | --group GROUP | --source ADDRESS",
		Short: "Forget the wrong codes of a person or an address",
		Long: `unlock ends a lock that wrong codes brought about, and the count that leads to
one: of people, or with --source of everybody's from an address. IPv6 addresses
are counted by their /64 network.`,
		Example: `  otpctl unlock alice
  otpctl unlock --source 192.0.2.7`,
		ValidArgsFunction: a.completeUsers,
	}
	s := severalPeople(c)
	c.Flags().StringVar(&source, "source", "", "`address` that wrong codes came from")
	c.Args = func(c *cobra.Command, args []string) error {
		if source != "" {
			return nil
		}
		return s.args(c, args)
	}
	return a.does(c, func(ctx context.Context, args []string) error {
		if source != "" && (s.dryRun || s.json) {
			return usage("--source goes with neither --dry-run nor --json")
		}
		if len(args) > 0 || s.group != "" {
			if err := a.each(ctx, s, args, a.unlockOne); err != nil {
				return err
			}
		}
		if source != "" {
			return a.unlockSource(ctx, source)
		}
		return nil
	})
}

func (a *app) unlockOne(ctx context.Context, g *gate.Gate, name string, dry bool) (string, bool, error) {
	// Who has no file cannot be locked out; the name is mistyped.
	if _, err := g.Accounts.Load(name); err != nil {
		return "", false, err
	}
	if dry {
		entry, err := g.Ledger.View(ctx, ledger.Key{Kind: ledger.User, Name: name})
		if err != nil || entry.Attempts == (ledger.Attempts{}) {
			return noWrongCodes, false, err
		}
		return "would be unlocked", true, nil
	}
	was, err := g.Unlock(ctx, name)
	if err != nil || was == (ledger.Attempts{}) {
		return noWrongCodes, false, err
	}
	changed(g, "unlock", audit.Record{User: name})
	return a.forgotten(was), true, nil
}

const noWrongCodes = "there were no wrong codes"

func (a *app) unlockSource(ctx context.Context, source string) error {
	g, err := a.gate()
	if err != nil {
		return err
	}
	name, was, err := g.UnlockSource(ctx, source)
	switch {
	case err != nil:
		return err
	case was == (ledger.Attempts{}):
		a.say("%s: %s", name, noWrongCodes)
		return nil
	}
	changed(g, "unlock", audit.Record{Remote: name})
	a.say("%s: %s", name, a.forgotten(was))
	return nil
}

// forgotten says what an unlocking took away.
func (a *app) forgotten(was ledger.Attempts) string {
	lock := ""
	if was.LockedUntil.After(a.Now()) {
		lock = fmt.Sprintf(", and the lock until %s is lifted", when(was.LockedUntil))
	}
	return fmt.Sprintf("%d wrong codes are forgotten%s", was.Wrong, lock)
}
