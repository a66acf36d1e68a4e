package transfer

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// importApp is the import of an app's export.
func importApp(a *invocation.App, name, app, how string, read func([]byte) ([]tokenfile.Token, error)) *cobra.Command {
	var flags tokenFlags
	c := &cobra.Command{
		Use:   name + " FILE",
		Short: "Take devices over from the authenticator app " + app,
		Long: name + ` reads a plain export of the app ` + app + `: ` + how + `.
The account of an entry is the login name; with --map an entry is named by its
account or, where several have it, by ISSUER:ACCOUNT. The code that the app shows
for a counter counts as used.` + tokenHelp,
		Example: "  otpctl import " + name + " export.json --dry-run\n  otpctl import " + name + " export.json --map who.csv",
		Args:    cobra.ExactArgs(1),
	}
	flags.register(c)
	return a.Does(c, func(ctx context.Context, args []string) error {
		return bringTokens(ctx, a, "import "+name, args[0], flags, read)
	})
}
