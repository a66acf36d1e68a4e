package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// keyFile is where this machine's own key is, and whose directory that is.
type keyFile struct {
	path string
	// user is who must read it beside root, "" if that is root or whoever owns the
	// directory.
	user string
}

// keyFileOf is where the configuration has the key, and path if that is given.
func keyFileOf(a *invocation.App, path string) (keyFile, error) {
	settings, err := a.Settings()
	if err != nil {
		return keyFile{}, err
	}
	at := keyFile{path: path}
	switch {
	case settings.Gateway != nil:
		at.user = settings.Gateway.User
		if path == "" {
			at.path = settings.Gateway.Key
		}
	case path == "" && settings.Remote != nil:
		at.path = settings.Remote.Key
	case path == "":
		// A client needs its key before it can be told of its servers.
		at.path = config.DefaultRemoteKey
	}
	if !filepath.IsAbs(at.path) {
		return keyFile{}, invocation.Usage("--key %s: expected an absolute path", at.path)
	}
	return at, nil
}

// ownKey is what is told of a key.
type ownKey struct {
	Key  string `json:"key"`
	File string `json:"file"`
}

func clientInit(a *invocation.App) *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Make this machine's key",
		Long: `init makes the key that other machines know this one by, and shows what they list
of it. On a server it is the gateway's key (gateway.key), elsewhere the client's
(remote.key). The private key stays in its file. A key that is there is kept: init
then fails, and otpctl client key shows it.

To change a key, make the next one with --key, list it on the other machines beside
the old one, and move the file over the old one's. It counts from the next
connection on.`,
		Example: `  otpctl client init
  otpctl client init --key /etc/otpgate/secrets/client.key.next`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&path, "key", "", "`file` of the key, instead of the configuration's")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(context.Context, []string) error {
		at, err := keyFileOf(a, path)
		if err != nil {
			return err
		}
		if err := makeKey(at); err != nil {
			return err
		}
		changed(a, "init", "", at.path)
		return showKey(a, at, asJSON)
	})
}

func makeKey(at keyFile) error {
	text, err := pinned.NewKey()
	if err != nil {
		return err
	}
	dir, err := openDir(filepath.Dir(at.path), at.user)
	if err != nil {
		return fmt.Errorf("directory of the key: %w", err)
	}
	defer dir.Close()
	// Of two at once the second must not replace what the first has shown already.
	unlock, err := safefile.LockDir(dir)
	if err != nil {
		return fmt.Errorf("directory of the key: %w", err)
	}
	defer unlock()
	name := filepath.Base(at.path)
	var there unix.Stat_t
	switch err := unix.Fstatat(dir.Fd(), name, &there, unix.AT_SYMLINK_NOFOLLOW); err {
	case unix.ENOENT:
		return safefile.Replace(dir, name, text, 0o600)
	case nil:
		return fmt.Errorf("%s is there already, and was kept; otpctl client key shows it", at.path)
	default:
		return &fs.PathError{Op: "stat", Path: at.path, Err: err}
	}
}

// openDir opens the directory of a key. If it is missing it is made, for the user who
// must read what is in it.
func openDir(path, user string) (*safefile.File, error) {
	dir, err := safefile.OpenServiceDir(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	var owner safefile.Owner
	if user != "" && os.Geteuid() == 0 {
		found, ok, err := nss.UserByName(user)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("gateway.user: there is no user %q", user)
		}
		owner = safefile.Owner{UID: found.UID, GID: found.GID}
	}
	if err := safefile.MakeDir(path, 0o700, owner); err != nil {
		return nil, err
	}
	return safefile.OpenServiceDir(path)
}

func clientKey(a *invocation.App) *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "key",
		Short: "Show what other machines list of this machine's key",
		Long: `key shows the SHA-256 of this machine's public key, in base64. Clients list a
server's in remote.server_keys; a server is told a client's by otpctl client add.`,
		Example: `  otpctl client key
  otpctl client key --json | jq -r .key`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&path, "key", "", "`file` of the key, instead of the configuration's")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(context.Context, []string) error {
		at, err := keyFileOf(a, path)
		if err != nil {
			return err
		}
		return showKey(a, at, asJSON)
	})
}

func showKey(a *invocation.App, at keyFile, asJSON bool) error {
	key, err := pinned.ReadKey(at.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("this machine has no key yet: %w; otpctl client init makes one", err)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return a.JSON(ownKey{key.Hash.String(), at.path})
	}
	a.Say("%s", key.Hash)
	return nil
}
