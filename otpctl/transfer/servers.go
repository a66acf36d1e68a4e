package transfer

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// importServer is the import of another server's token list.
func importServer(a *invocation.App, name, server, columns string, read func([]byte, tokenfile.CSVOptions) ([]tokenfile.Token, error)) *cobra.Command {
	var flags tokenFlags
	var options tokenfile.CSVOptions
	c := &cobra.Command{
		Use:   name + " FILE",
		Short: "Take devices over from a token list of " + server,
		Long: name + ` reads a token list in ` + server + `'s format OATH CSV: in each line the serial, the
key in hexadecimal, the type (hotp or totp), the digits, ` + columns + `
--map names a device by its serial.` + tokenHelp,
		Example: "  otpctl import " + name + " tokens.csv --map who.csv --dry-run\n  otpctl import " + name + " tokens.csv --map who.csv",
		Args:    cobra.ExactArgs(1),
	}
	flags.register(c)
	c.Flags().StringVar(&options.Algorithm, "algorithm", "", "`hash` of keys that do not say it (default: SHA1)")
	invocation.Complete(c, "algorithm", config.Algorithms...)
	return a.Does(c, func(ctx context.Context, args []string) error {
		if options.Algorithm != "" && !slices.Contains(config.Algorithms, options.Algorithm) {
			return invocation.Usage("--algorithm: expected one of %s", strings.Join(config.Algorithms, ", "))
		}
		return bringTokens(ctx, a, "import "+name, args[0], flags, func(data []byte) ([]tokenfile.Token, error) {
			return read(data, options)
		})
	})
}
