package people

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Enable is otpctl enable.
func Enable(a *invocation.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "enable USER... | --group GROUP",
		Short: "Count somebody's codes again",
		Long: `enable undoes disable. Recovery codes do not come back: run otpctl recovery for
new ones. Nor do invitations.`,
		Example: `  otpctl enable alice bob
  otpctl enable --group staff --dry-run`,
		ValidArgsFunction: a.CompleteUsers,
	}
	s := invocation.SeveralPeople(c)
	c.Args = s.Args
	return a.Does(c, func(ctx context.Context, args []string) error { return a.Each(ctx, s, args, enableOne(a)) })
}

// Disable is otpctl disable.
func Disable(a *invocation.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "disable USER... | --group GROUP",
		Short: "Stop counting somebody's codes, and remove the recovery codes",
		Long: `disable keeps the secret file, but nothing in it counts any more. It removes the
recovery codes and ends remembered logins, invitations, and pages and links of
self-service.

This does not lock an account. A disabled person is treated like somebody who
never enrolled: refused if policy.require names the person, otherwise let in
without a code. otpctl test says which. To lock an account, use usermod --lock
and --expiredate.`,
		Example: `  otpctl disable alice bob
  otpctl disable --group interns --dry-run`,
		ValidArgsFunction: a.CompleteUsers,
	}
	s := invocation.SeveralPeople(c)
	c.Args = s.Args
	return a.Does(c, func(ctx context.Context, args []string) error { return a.Each(ctx, s, args, disableOne(a)) })
}

func enableOne(a *invocation.App) invocation.Doing {
	return func(ctx context.Context, g admin.People, name string, dry bool) (string, bool, error) {
		before, isNew, err := switchTo(ctx, a, g, name, true, dry)
		if err != nil {
			return "", false, err
		}
		switch {
		case len(before.Confirmed()) == 0:
			a.Note("%s has no confirmed device: %s enroll %s", name, a.Self(), name)
		case len(before.Recovery.Hashes) == 0:
			a.Note("%s has no recovery codes: %s recovery %s makes some", name, a.Self(), name)
		}
		switch {
		case !isNew:
			return "was enabled already", false, nil
		case dry:
			return "would be enabled", true, nil
		}
		invocation.Changed(g, "enable", audit.Record{User: name})
		return "enabled", true, nil
	}
}

func disableOne(a *invocation.App) invocation.Doing {
	return func(ctx context.Context, g admin.People, name string, dry bool) (string, bool, error) {
		before, isNew, err := switchTo(ctx, a, g, name, false, dry)
		switch {
		case err != nil:
			return "", false, err
		case !isNew:
			return "was disabled already", false, nil
		case dry:
			return "would be disabled", true, nil
		case len(before.Recovery.Hashes) > 0:
			invocation.Changed(g, "disable", audit.Record{User: name, Reason: "recovery codes removed"})
			return "disabled, and the recovery codes are removed", true, nil
		}
		invocation.Changed(g, "disable", audit.Record{User: name})
		return "disabled", true, nil
	}
}

// switchTo enables or disables somebody, or with dry looks what that would do.
func switchTo(ctx context.Context, a *invocation.App, g admin.People, name string, enabled, dry bool) (before account.Person, isNew bool, err error) {
	if !dry {
		return g.Enable(ctx, name, enabled)
	}
	before, err = g.Accounts.Load(name)
	return before, before.Enabled != enabled || !enabled && len(before.Recovery.Hashes) > 0, err
}
