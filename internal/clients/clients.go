// Package clients keeps the files of the machines whose logins a server decides,
// NAME.toml each in one directory.
//
// The entry points are [Load], [Loader], which the verifier asks what a client may, and
// [Table], which the gateway asks whose a key is. The package promises that a file
// with any mistake lets its client do nothing, that a key in two files is nobody's,
// and that a change of a file counts from the next login on.
package clients

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// Client is one machine, and what its logins may do.
type Client struct {
	// Version is 1.
	Version int `toml:"version"`
	// Client is the machine's name, as the file is called. People see it in codes
	// that are sent, admins in the log.
	Client string `toml:"client"`
	// Keys are the machine's keys, as otpctl client key prints them there: one, or
	// two while it gets another one.
	Keys []config.KeyHash `toml:"keys"`
	// Addresses are where its connections must come from; anywhere if there is no
	// such list.
	Addresses []config.Network `toml:"addresses,omitempty"`
	// Services are the PAM services that it may ask for; all if there is no such
	// list.
	Services []string `toml:"services,omitempty"`
	// Users are whom it may ask for: names, "@group" of the server's groups, or
	// "@all"; everybody if there is no such list.
	Users []config.Selector `toml:"users,omitempty"`
	// Enroll lets people enroll at a login there, and be let in for the time of
	// policy.grace.
	Enroll bool `toml:"enroll"`
	// Send has codes sent to people who log in there.
	Send bool `toml:"send"`
	// SendsPerHour is how many, to whomever, 1 to 100000.
	SendsPerHour int `toml:"sends_per_hour"`
	// PerMinute is how many logins it may begin in a minute, 1 to 100000.
	PerMinute int `toml:"per_minute"`
	// Dialogues is how many logins it may have open at once, 1 to 1000.
	Dialogues int `toml:"dialogues"`
	// WrongCodes is how many wrong codes, for whomever, lock its logins for
	// policy.attempts.window, 1 to 100000.
	WrongCodes int `toml:"wrong_codes"`
}

// Default is what holds for a key that a file does not have.
func Default() Client {
	return Client{Version: 1, Send: true, SendsPerHour: 100, PerMinute: 600, Dialogues: 256, WrongCodes: 100}
}

// suffix is what the files' names end in.
const suffix = ".toml"

// ErrUnknown is wrapped by the error for a client without a file.
var ErrUnknown = errors.New("no such client")

// rules hold for the files. There is nothing secret in them.
var rules = safefile.Rules{Forbidden: 0o022, MaxSize: 64 << 10}

// Path is where a client's file is.
func Path(dir, name string) string { return filepath.Join(dir, name+suffix) }

// Load reads the file of one client.
func Load(dir, name string) (Client, error) {
	path, data, err := read(dir, name)
	if err != nil {
		return Client{}, err
	}
	return Parse(path, name, data)
}

func read(dir, name string) (path string, data []byte, err error) {
	if err := remotewire.CheckClient(name); err != nil {
		return "", nil, fmt.Errorf("client %q: %w", name, err)
	}
	path = Path(dir, name)
	data, err = safefile.Read(path, rules)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("client %q: %w: there is no %s", name, ErrUnknown, path)
	}
	return path, data, err
}

// Parse reads data, the contents of the file at path, which must be that of the
// client with this name.
func Parse(path, name string, data []byte) (Client, error) {
	client := Default()
	client.Version = 0
	if err := tomlfile.Decode(path, data, &client); err != nil {
		return Client{}, err
	}
	if problem, key := client.check(name); problem != "" {
		return Client{}, tomlfile.At(path, data, problem, key)
	}
	return client, nil
}

func (c Client) check(name string) (problem, key string) {
	switch {
	case c.Version != 1:
		return "expected 1", "version"
	case c.Client != name:
		return fmt.Sprintf("expected %q, as the file is called", name), "client"
	case len(c.Keys) == 0:
		return "expected the machine's key, as otpctl client key prints it there", "keys"
	case len(c.Keys) > maxKeys:
		return fmt.Sprintf("expected at most %d", maxKeys), "keys"
	case c.Addresses != nil && len(c.Addresses) == 0:
		return "the list is empty, so it could come from nowhere; take the line out for anywhere", "addresses"
	case c.Services != nil && len(c.Services) == 0 || slices.Contains(c.Services, ""):
		return "expected the names of PAM services; take the line out for all", "services"
	case c.Users != nil && len(c.Users) == 0:
		return "the list is empty, so it could ask for nobody; take the line out for everybody", "users"
	case c.SendsPerHour < 1 || c.SendsPerHour > 100_000:
		return "expected 1 to 100000; send = false has none sent", "sends_per_hour"
	case c.PerMinute < 1 || c.PerMinute > 100_000:
		return "expected 1 to 100000", "per_minute"
	case c.Dialogues < 1 || c.Dialogues > MaxDialogues:
		return fmt.Sprintf("expected 1 to %d", MaxDialogues), "dialogues"
	case c.WrongCodes < 1 || c.WrongCodes > 100_000:
		return "expected 1 to 100000", "wrong_codes"
	}
	return "", ""
}

// MaxDialogues is how many logins a client may have open.
const MaxDialogues = 1000

// maxKeys is for a machine that is known by its new key and by its old one, and a
// spare.
const maxKeys = 3

// MayComeFrom says whether the client's connections may come from there.
func (c Client) MayComeFrom(addr netip.Addr) bool {
	return c.Addresses == nil || slices.ContainsFunc(c.Addresses, func(n config.Network) bool { return n.Contains(addr) })
}

// MayAskFor says whether the client may ask for a PAM service.
func (c Client) MayAskFor(service string) bool {
	return c.Services == nil || slices.Contains(c.Services, service)
}

// names lists the clients that have files in dir.
func names(dir string) ([]string, error) {
	opened, err := safefile.OpenDir(dir)
	if err != nil {
		return nil, fmt.Errorf("directory of clients: %w", err)
	}
	defer opened.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("directory of clients: %w", err)
	}
	var found []string
	for _, entry := range entries {
		// What an editor or a package leaves there is no client.
		if name, ok := strings.CutSuffix(entry.Name(), suffix); ok && remotewire.CheckClient(name) == nil {
			found = append(found, name)
		}
	}
	return found, nil
}

// All reads the files of all clients, in the order of their names. wrong are the
// files that cannot be used.
func All(dir string) (all []Client, wrong []error, err error) {
	found, err := names(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range found {
		client, err := Load(dir, name)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		all = append(all, client)
	}
	return all, wrong, nil
}

// Add writes the file of a client that dir has none of, as [Save] does. It refuses a
// name or a key that a file has already. Those who add at once wait for each other.
func Add(dir string, client Client) error {
	opened, err := create(dir)
	if err != nil {
		return err
	}
	defer opened.Close()
	unlock, err := safefile.LockIn(opened)
	if err != nil {
		return fmt.Errorf("directory of clients: %w", err)
	}
	defer unlock()
	if err := isNew(dir, client); err != nil {
		return err
	}
	return save(opened, client)
}

// isNew refuses a name or a key that a file has already. Files that cannot be read are
// no reason not to add another one, unless it is this one's.
func isNew(dir string, client Client) error {
	if _, err := Load(dir, client.Client); !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("client %q is there already; change %s, or take it away with otpctl client remove %s", client.Client, Path(dir, client.Client), client.Client)
	}
	all, _, err := All(dir)
	if err != nil {
		return err
	}
	for _, other := range all {
		for _, key := range other.Keys {
			if slices.Contains(client.Keys, key) {
				return fmt.Errorf("the key is that of client %q, in %s; each machine needs one of its own", other.Client, Path(dir, other.Client))
			}
		}
	}
	return nil
}

// create opens dir, which is made if its last part is missing. The gateway's user reads
// it too.
func create(dir string) (*safefile.File, error) {
	opened, err := safefile.OpenDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = safefile.MakeDir(dir, 0o755, safefile.Owner{}); err == nil {
			opened, err = safefile.OpenDir(dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("directory of clients: %w", err)
	}
	return opened, nil
}

// Save writes a client's file, whole or not at all, into dir, which is made if its
// last part is missing.
func Save(dir string, client Client) error {
	opened, err := create(dir)
	if err != nil {
		return err
	}
	defer opened.Close()
	return save(opened, client)
}

func save(opened *safefile.File, client Client) error {
	dir := opened.Name()
	text, err := toml.Marshal(client)
	if err != nil {
		return fmt.Errorf("write %s: %w", Path(dir, client.Client), err)
	}
	if err := remotewire.CheckClient(client.Client); err != nil {
		return fmt.Errorf("client %q: %w", client.Client, err)
	}
	// What could not be read back would keep the machine out.
	if _, err := Parse(Path(dir, client.Client), client.Client, text); err != nil {
		return fmt.Errorf("not written: %w", err)
	}
	return safefile.Replace(opened, client.Client+suffix, text, 0o644)
}

// Remove takes a client's file away.
func Remove(dir, name string) error {
	if err := remotewire.CheckClient(name); err != nil {
		return fmt.Errorf("client %q: %w", name, err)
	}
	opened, err := safefile.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("directory of clients: %w", err)
	}
	defer opened.Close()
	err = safefile.Remove(opened, name+suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("client %q: %w: there is no %s", name, ErrUnknown, Path(dir, name))
	}
	return err
}
