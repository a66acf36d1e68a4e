package transfer

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// importGoogleApp is import google-app.
func importGoogleApp(a *invocation.App) *cobra.Command {
	var flags tokenFlags
	c := &cobra.Command{
		Use:   "google-app FILE",
		Short: "Take devices over from the app Google Authenticator",
		Long: `google-app reads what the QR codes say that the app Google Authenticator shows by
Transfer accounts, Export accounts: otpauth-migration://offline?data=DATA, one
a line. An export of many devices has several QR codes, and all of them are
needed. Scan them with a program that shows the text and keeps it to itself,
such as zbarimg.

The account of an entry is the login name; with --map an entry is named by its
account or, where several have it, by ISSUER:ACCOUNT. The code that the app shows
for a counter counts as used. For the files of the PAM module see
otpctl import google-authenticator.` + tokenHelp,
		Example: `  otpctl import google-app export.txt --dry-run
  otpctl import google-app export.txt --map who.csv`,
		Args: cobra.ExactArgs(1),
	}
	flags.register(c)
	return a.Does(c, func(ctx context.Context, args []string) error {
		return bringTokens(ctx, a, "import google-app", args[0], flags, tokenfile.GoogleApp)
	})
}
