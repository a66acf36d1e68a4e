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
		Use:   "unlock [USER]",
		Short: "Forget the wrong codes of a person or an address",
		Long: `unlock ends a lock that wrong codes brought about, and the count that leads to
one: of a person, or with --source of everybody's from an address. IPv6
addresses are counted by their /64 network.`,
		Example: `  otpctl unlock alice
  otpctl unlock --source 192.0.2.7`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeUser,
	}
	c.Flags().StringVar(&source, "source", "", "`address` that wrong codes came from")
	return a.does(c, func(ctx context.Context, args []string) error {
		if len(args) == 0 && source == "" {
			return usage("expected USER or --source ADDRESS")
		}
		g, err := a.gate()
		if err != nil {
			return err
		}
		if len(args) == 1 {
			err = a.unlockUser(ctx, g, args[0])
		}
		if source != "" && err == nil {
			err = a.unlockSource(ctx, g, source)
		}
		return err
	})
}

func (a *app) unlockUser(ctx context.Context, g *gate.Gate, given string) error {
	name, err := a.enrolledName(g, given)
	if err != nil {
		return err
	}
	// Who has no file cannot be locked out; the name is mistyped.
	if _, err := g.Accounts.Load(name); err != nil {
		return err
	}
	was, err := g.Unlock(ctx, name)
	if err != nil {
		return err
	}
	a.unlocked(g, name, name, was)
	return nil
}

func (a *app) unlockSource(ctx context.Context, g *gate.Gate, source string) error {
	name, was, err := g.UnlockSource(ctx, source)
	if err != nil {
		return err
	}
	a.unlocked(g, "", name, was)
	return nil
}

func (a *app) unlocked(g *gate.Gate, user, name string, was ledger.Attempts) {
	if was == (ledger.Attempts{}) {
		a.say("%s: there were no wrong codes", name)
		return
	}
	record := audit.Record{User: user}
	if user == "" {
		record.Remote = name
	}
	changed(g, "unlock", record)
	lock := ""
	if was.LockedUntil.After(a.Now()) {
		lock = fmt.Sprintf(", and the lock until %s is lifted", when(was.LockedUntil))
	}
	a.say("%s: %d wrong codes are forgotten%s", name, was.Wrong, lock)
}
