package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
)

func (a *app) enable() *cobra.Command {
	return a.does(&cobra.Command{
		Use:   "enable USER...",
		Short: "Let somebody's codes count again",
		Long: `enable undoes disable. Recovery codes do not come back: run otpctl recovery for
new ones.`,
		Example:           "  otpctl enable alice bob",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeUsers,
	}, func(_ context.Context, args []string) error { return a.each(args, a.enableOne) })
}

func (a *app) disable() *cobra.Command {
	return a.does(&cobra.Command{
		Use:   "disable USER...",
		Short: "Let somebody's codes count no more, and remove the recovery codes",
		Long: `disable keeps the secret file, but nothing in it counts, and removes the recovery
codes from it.

This locks no account. Who is disabled is treated as somebody who never
enrolled: refused if policy.require names the person, otherwise let in without a
code. otpctl test tells which. To lock an account, use usermod --lock and
--expiredate.`,
		Example:           "  otpctl disable alice bob",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeUsers,
	}, func(_ context.Context, args []string) error { return a.each(args, a.disableOne) })
}

// each does one thing for several people. A failure does not keep the others
// from it.
func (a *app) each(names []string, one func(g *gate.Gate, name string) error) error {
	g, err := a.gate()
	if err != nil {
		return err
	}
	failed := 0
	for _, given := range names {
		name, err := a.enrolledName(g, given)
		if err == nil {
			err = one(g, name)
		}
		if len(names) == 1 {
			return err
		}
		if err != nil {
			a.complain(err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(names))
	}
	return nil
}

func (a *app) enableOne(g *gate.Gate, name string) error {
	before, isNew, err := g.Enable(name, true)
	switch {
	case err != nil:
		return err
	case isNew:
		changed(g, "enable", audit.Record{User: name})
		a.say("%s: enabled", name)
	default:
		a.say("%s: was enabled already", name)
	}
	switch {
	case len(before.Confirmed()) == 0:
		a.note("%s has no confirmed device: %s enroll %s", name, a.self(), name)
	case len(before.Recovery.Hashes) == 0:
		a.note("%s has no recovery codes: %s recovery %s makes some", name, a.self(), name)
	}
	return nil
}

func (a *app) disableOne(g *gate.Gate, name string) error {
	before, isNew, err := g.Enable(name, false)
	switch {
	case err != nil:
		return err
	case !isNew:
		a.say("%s: was disabled already", name)
		return nil
	case len(before.Recovery.Hashes) > 0:
		changed(g, "disable", audit.Record{User: name, Reason: "recovery codes removed"})
		a.say("%s: disabled, and the recovery codes are removed", name)
	default:
		changed(g, "disable", audit.Record{User: name})
		a.say("%s: disabled", name)
	}
	return nil
}
