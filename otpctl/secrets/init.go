package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

func initKey(a *invocation.App) *cobra.Command {
	var spares []string
	var noSpare bool
	var out string
	c := &cobra.Command{
		Use:   "init FILE",
		Short: "Make a key, and a spare copy of it",
		Long: `init makes a key in a new file. Name the file in secrets.keys of the configuration;
then otpctl secrets encrypt uses it.

Whoever loses the key has to enroll everybody again. So init insists on a spare
copy, encrypted to an age key: age-keygen makes one. Keep its identity and the
spare copy away from this machine. otpctl secrets open brings the key back.

Where a pipe takes the spare copy, init does not see whether it arrives. If it does
not, remove FILE and begin again. If init is killed, there is no key: remove what it
left of --out and begin again.`,
		Example: `  otpctl secrets init /var/lib/otpgate-keys/first --spare age1... --out /root/spare.age
  otpctl secrets init /var/lib/otpgate-keys/first --spare age1... | ssh safe 'cat >spare.age'`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringArrayVar(&spares, "spare", nil, "public age `key` that the spare copy is encrypted to, as often as needed")
	c.Flags().StringVar(&out, "out", "", "new `file` for the spare copy (default: standard output, unless that is a terminal)")
	c.Flags().BoolVar(&noSpare, "no-spare", false, "make no spare copy: there is another one, or everybody can be enrolled again")
	return a.Does(c, func(_ context.Context, args []string) error {
		switch {
		case noSpare && (len(spares) > 0 || out != ""):
			return invocation.Usage("expected either --spare or --no-spare")
		case !noSpare && len(spares) == 0:
			return invocation.Usage("expected --spare KEY, the public key of age-keygen; or --no-spare, if nobody needs to get the key back")
		case !noSpare && out == "" && isDevice(a.Stdout):
			return invocation.Usage("standard output is a terminal, closed or /dev/null: expected --out FILE for the spare copy, or a pipe")
		}
		to, err := recipients(spares)
		if err != nil {
			return err
		}
		return makeKey(a, args[0], spares, to, out)
	})
}

// isDevice says whether a stream is a terminal, or /dev/null, which Go opens too where a
// stream is closed: nothing of a spare copy would be left.
func isDevice(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err != nil || info.Mode()&fs.ModeCharDevice != 0
}

func recipients(given []string) (to []age.Recipient, err error) {
	for _, text := range given {
		recipient, err := age.ParseX25519Recipient(text)
		if err != nil {
			// It is not quoted: whoever mistook the two gave the identity.
			return nil, invocation.Usage("--spare: expected a public key of age-keygen, which begins with age1")
		}
		to = append(to, recipient)
	}
	return to, nil
}

// makeKey makes a key. Its file has it once the spare copy is written.
func makeKey(a *invocation.App, path string, spares []string, to []age.Recipient, out string) error {
	g, err := a.Gate()
	if err != nil {
		return err
	}
	name, data := keyring.NewFile(spares...)
	defer clear(data)
	var spare bytes.Buffer
	if len(to) > 0 {
		if err := encryptTo(&spare, data, to); err != nil {
			return err
		}
	}
	path, err = writeKey(path, data, func() error { return writeSpare(a, spare.Bytes(), out) })
	if err != nil {
		return err
	}
	reason := "key " + name + " in " + path + ", no spare copy"
	if len(spares) > 0 {
		reason = "key " + name + " in " + path + ", spare copy for " + strings.Join(spares, " and ")
	}
	invocation.Changed(g, "secrets init", audit.Record{Reason: reason})
	a.Note("%s has the key %s. Name it in the configuration: [secrets] keys = [%q]", path, name, path)
	return nil
}

func encryptTo(to io.Writer, data []byte, recipients []age.Recipient) error {
	writer, err := age.Encrypt(to, recipients...)
	if err != nil {
		return err
	}
	if _, err := writer.Write(data); err != nil {
		return err
	}
	return writer.Close()
}

// writeSpare writes the spare copy, if there is one, to a new file or standard output.
func writeSpare(a *invocation.App, spare []byte, out string) (err error) {
	if len(spare) == 0 {
		return nil
	}
	if out == "" {
		// A reader that has ended must not end this command with a key half made.
		signal.Ignore(unix.SIGPIPE)
		_, err := a.Out.Write(spare)
		return err
	}
	file, err := invocation.NewSecretFile("--out", out)
	if err != nil {
		return err
	}
	_, err = file.Write(spare)
	return invocation.FinishSecretFile(file, err)
}

// writeKey makes data the contents of a new file, for the owner of its directory
// alone, once first has been done. It returns the file's absolute path.
func writeKey(path string, data []byte, first func() error) (absolute string, err error) {
	if absolute, err = filepath.Abs(path); err != nil {
		return "", err
	}
	dir, err := safefile.OpenServiceDir(filepath.Dir(absolute))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w; make it with install -d -m 700 %s", err, filepath.Dir(absolute))
	}
	if err != nil {
		return "", err
	}
	defer dir.Close()
	err = safefile.PutNew(dir, filepath.Base(absolute), data, 0o400, first)
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s is there already; it is not overwritten", absolute)
	}
	return absolute, err
}
