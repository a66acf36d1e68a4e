package transfer

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// tokenHelp ends the help of the imports of devices.
const tokenHelp = `

FILE must be root's, and nobody else may read it; - is standard input. All of it is
checked before anybody is enrolled: with one mistake, nobody is. --map says who has
which device, or else the file itself does. Devices that --map does not name are
left out.

Devices become phone (time) or token (counter); further ones of a person are
phone2 or token2 and so on. Such a file does not say which time-based codes were
used, so all until now count as used, and the next ones are good.`

// importURI is import uri.
func importURI(a *invocation.App) *cobra.Command {
	var flags tokenFlags
	c := &cobra.Command{
		Use:   "uri FILE",
		Short: "Take devices over from a list of otpauth URIs",
		Long: `uri reads otpauth URIs, one a line, as Aegis, FreeOTP+, KeePassXC, privacyIDEA and
others export them. The login name may come before the URI, followed by a space or
a comma; without one it is the account in the URI's label. Lines that
begin with # are left out. A token's codes are good from the counter on.` + tokenHelp,
		Example: `  otpctl import uri uris.txt --dry-run
  otpctl import uri uris.txt --map who.csv`,
		Args: cobra.ExactArgs(1),
	}
	flags.register(c)
	return a.Does(c, func(ctx context.Context, args []string) error {
		return bringTokens(ctx, a, "import uri", args[0], flags, tokenfile.URIs)
	})
}
