package transfer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// importPSKC is import pskc.
func importPSKC(a *invocation.App) *cobra.Command {
	var flags tokenFlags
	var keyFile, passphraseFile string
	var options tokenfile.PSKCOptions
	c := &cobra.Command{
		Use:   "pskc FILE",
		Short: "Take devices over from a key container (RFC 6030)",
		Long: `pskc reads a key container of RFC 6030, as tokens are delivered with: keys for codes
by counter and by time. One that is encrypted needs --key-file or --passphrase-file;
it is read only if its MACs are right.

--map names a device by its SerialNo or by the Id of its Key. Without it, the uid
of a UserId is the login name. A key whose Policy has expired, or has rules that
otpgate does not hold, is refused.` + tokenHelp,
		Example: `  otpctl import pskc tokens.xml --map who.csv --dry-run
  otpctl import pskc tokens.xml --map who.csv --passphrase-file passphrase`,
		Args: cobra.ExactArgs(1),
	}
	flags.register(c)
	c.Flags().StringVar(&keyFile, "key-file", "", "`file` with the key that both sides have, in hexadecimal; - is standard input")
	c.Flags().StringVar(&passphraseFile, "passphrase-file", "", "`file` with the passphrase; - is standard input")
	c.Flags().BoolVar(&options.WithoutPINs, "without-pins", false, "take devices that have a PIN in addition to the code, and drop the PIN")
	return a.Does(c, func(ctx context.Context, args []string) (err error) {
		if keyFile != "" && passphraseFile != "" {
			return invocation.Usage("--key-file and --passphrase-file: expected one of the two")
		}
		if args[0] == "-" && (keyFile == "-" || passphraseFile == "-") {
			return invocation.Usage("standard input is either the container or what opens it: expected a file for one of them")
		}
		options.Now = a.Now()
		if options.Passphrase, err = ifNamed(a, "--passphrase-file", passphraseFile); err != nil {
			return err
		}
		written, err := ifNamed(a, "--key-file", keyFile)
		if err != nil {
			return err
		}
		options.Key = make([]byte, hex.DecodedLen(len(written)))
		if _, err := hex.Decode(options.Key, bytes.TrimSpace(written)); err != nil || !slices.Contains([]int{0, 16, 24, 32}, len(options.Key)) {
			return errors.New("--key-file: expected a key of AES in hexadecimal, which is 32, 48 or 64 digits")
		}
		return bringTokens(ctx, a, "import pskc", args[0], flags, func(data []byte) ([]tokenfile.Token, error) {
			return tokenfile.PSKC(data, options)
		})
	})
}

func ifNamed(a *invocation.App, flag, file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	return secretIn(a, flag, file)
}

// secretIn reads a file with one secret in a line.
func secretIn(a *invocation.App, flag, given string) ([]byte, error) {
	if given == "-" {
		line, err := a.Lines.Next()
		if err == nil && line == "" {
			err = errors.New("expected a line")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: standard input: %w", flag, err)
		}
		return []byte(line), nil
	}
	path, err := filepath.Abs(given)
	if err != nil {
		return nil, err
	}
	data, err := rootsOwn(a, path, safefile.Rules{Forbidden: 0o077, MaxSize: maxSecretFile})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	line := trimLine(data)
	if len(line) == 0 {
		return nil, fmt.Errorf("%s: %s: it is empty", flag, path)
	}
	return line, nil
}

// maxSecretFile is far more than a passphrase has.
const maxSecretFile = 4096

// trimLine takes the end of a line away, and nothing of the secret.
func trimLine(data []byte) []byte {
	for len(data) > 0 && (data[len(data)-1] == '\n' || data[len(data)-1] == '\r') {
		data = data[:len(data)-1]
	}
	return data
}
