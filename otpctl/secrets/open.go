package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// maxSpare is far above what a spare copy has, in bytes.
const maxSpare = 64 << 10

func open(a *invocation.App) *cobra.Command {
	var identity string
	c := &cobra.Command{
		Use:   "open SPARE FILE",
		Short: "Bring a key back from its spare copy",
		Long: `open decrypts a spare copy of otpctl secrets init, or standard input if that is
"-", and makes a new file of the key in it. Secrets that are encrypted with it can
be read from the next login on, if secrets.keys names the file.`,
		Example: `  otpctl secrets open spare.age /var/lib/otpgate-keys/first --identity key.txt
  otpctl secrets open - /run/otpgate/keys/first --identity key.txt <spare.age`,
		Args: cobra.ExactArgs(2),
	}
	c.Flags().StringVar(&identity, "identity", "", "`file` of age-keygen with the secret key")
	return a.Does(c, func(_ context.Context, args []string) error {
		if identity == "" {
			return invocation.Usage("expected --identity FILE, the file that age-keygen made")
		}
		g, err := a.Gate()
		if err != nil {
			return err
		}
		data, err := openSpare(a, args[0], identity)
		if err != nil {
			return err
		}
		defer clear(data)
		name, _, err := keyring.NameOfFile(data)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		path, err := writeKey(args[1], data, func() error { return nil })
		if err != nil {
			return err
		}
		invocation.Changed(g, "secrets open", audit.Record{Reason: "key " + name + " in " + path})
		a.Sum("%s has the key %s", path, name)
		return nil
	})
}

func openSpare(a *invocation.App, path, identity string) ([]byte, error) {
	keys, err := os.Open(identity)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	defer keys.Close()
	identities, err := age.ParseIdentities(keys)
	if err != nil {
		return nil, fmt.Errorf("--identity: %s: expected a file as age-keygen makes it", identity)
	}
	from := a.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = file
	}
	plain, err := invocation.DecryptAge(from, identities...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(plain, maxSpare+1))
	if err == nil && len(data) > maxSpare {
		err = errors.New("expected a spare copy of otpctl secrets init")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}
