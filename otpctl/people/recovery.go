package people

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Recovery is otpctl recovery.
func Recovery(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "recovery USER",
		Short: "Give somebody new recovery codes",
		Long: `recovery makes ten recovery codes and shows them once. Earlier ones are worthless
from then on. The person must be enrolled and enabled.`,
		Example: `  otpctl recovery alice
  otpctl recovery alice --json | jq -r '.recovery_codes[]'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.CompleteUser,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(_ context.Context, args []string) error {
		g, name, err := a.Enrolled(args[0])
		if err != nil {
			return err
		}
		codes, err := g.NewRecovery(name)
		if err != nil {
			return err
		}
		invocation.Changed(g, "recovery", audit.Record{User: name})
		a.Again = "otpctl recovery again"
		if asJSON {
			return a.JSON(newCodes{name, codes})
		}
		showRecovery(a, name, codes)
		return nil
	})
}

// newCodes is what recovery made.
type newCodes struct {
	User          string   `json:"user"`
	RecoveryCodes []string `json:"recovery_codes"`
}

// showRecovery shows new recovery codes, if there are any.
func showRecovery(a *invocation.App, user string, codes []string) {
	if len(codes) == 0 {
		return
	}
	a.Say("")
	a.Say("Recovery codes of %s. Each is good once, in place of a code from the app.", user)
	a.Say("They are shown this once: keep them on paper, apart from the phone.")
	a.Say("")
	for _, code := range codes {
		a.Say("  %s", code)
	}
}
