package transfer

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// tokenHelp ends the help of the imports of devices.
const tokenHelp = `

FILE must be root's, and for nobody else to read; - is standard input. All of it
is checked before anybody is enrolled: one mistake, and nobody is. Whose a device
is says --map, else the file itself. With --map, devices that it does not name are
left out.

Devices become phone (time) or token (counter); further ones of a person are
phone2 or token2 and so on. Such a file does not say which codes by time were used,
so all until now are, and the next ones are good.`

// importURI is import uri.
func importURI(a *invocation.App) *cobra.Command {
	var flags tokenFlags
	c := &cobra.Command{
		Use:   "uri FILE",
		Short: "Take devices over from a list of otpauth URIs",
		Long: `uri reads otpauth URIs, one a line, as Aegis, FreeOTP+, KeePassXC, privacyIDEA and
others export them. The login name may stand in front of the URI, behind it a
space or a comma; without one it is the account of the URI's label. Lines that
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
