// Package secrets has otpctl's commands about how secrets are encrypted: making a key,
// encrypting what is not, changing the key, and going back.
//
// The entry point is [Command]. It promises that no key is shown, that none is used
// before it was decided about a spare copy, and that what is broken off can be done
// again.
package secrets

import (
	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Command is otpctl secrets.
func Command(a *invocation.App) *cobra.Command {
	return invocation.Group(&cobra.Command{
		Use:   "secrets COMMAND",
		Short: "Encrypt the secrets in secret files",
		Long: `Where secrets.keys of the configuration names a key, the secrets in secret files
are encrypted with it: who has the files without the key, as in a backup or a
repository, cannot make codes from them.

Without the key nobody's codes can be checked, except recovery codes and codes
that are sent. So make a spare copy of it, and keep that elsewhere.`,
		Example: `  otpctl secrets init /var/lib/otpgate-keys/first --spare age1... --out /root/spare.age
  otpctl secrets encrypt
  otpctl secrets status`,
	}, initKey(a), encrypt(a), status(a), rotate(a), decrypt(a), open(a))
}
