package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Place is where secret files are, and how they are read and written there. It may
// outlive a [Dir], and keeps the keys that were read.
type Place struct {
	// Path is the directory, absolute.
	Path string
	// Own are the policy's own protocols, which a file may name.
	Own []config.Protocol
	// Keys encrypt the secrets that are written and decrypt those that are read.
	Keys *keyring.Ring
	// Required refuses secrets that are not encrypted.
	Required bool
	// Away says that the files are not on this machine, and Former in which directory
	// they were before, in which none counts any more.
	Away   bool
	Former string
	// now is time.Now unless it is set.
	now func() time.Time
}

func (p Place) time() time.Time {
	if p.now == nil {
		return time.Now()
	}
	return p.now()
}

// PlaceOf is the place that the settings name.
func PlaceOf(settings config.Config) Place {
	return Place{
		Path: settings.Paths.Users, Own: settings.Policy.OwnProtocols,
		Keys: keyring.New(settings.Secrets.Keys...), Required: settings.Secrets.Required,
	}
}

// Open opens the directory. It is an error if there is none: that must not look like
// nobody having enrolled. An empty one does; policy.require is against that.
func (p Place) Open() (*Dir, error) {
	dir, err := safefile.OpenServiceDir(p.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("directory of secret files: %w; make it with install -d -m 700 %s", err, p.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("directory of secret files: %w", err)
	}
	return newDir(dir, p), nil
}

// Create is Open for the commands that write: it makes the last part of the path,
// 0700, if it is missing.
func (p Place) Create() (*Dir, error) {
	if err := os.Mkdir(p.Path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("directory of secret files: %w", err)
	}
	return p.Open()
}

// Reload is Open and Load for somebody loaded before. A file that has not
// changed is neither opened nor read: its state, which a change of owner, mode
// or links changes too, is that of the file that was checked then. The
// directories on the way are checked again in any case.
func (p Place) Reload(known Person) (Person, error) {
	if known.Unreadable() == nil && known.seen.Unchanged(p.Path, known.User+suffix) {
		return known, nil
	}
	dir, err := p.Open()
	if err != nil {
		return Person{}, err
	}
	defer dir.Close()
	return dir.Load(known.User)
}

// Parse reads data, the contents of the secret file at path, which must be
// that of the person with this login name, and decrypts the secrets in it.
func (p Place) Parse(path, name string, data []byte) (Person, error) {
	person, err := parseBound(path, name, name, data, p.Own)
	if err != nil {
		return Person{}, err
	}
	p.decrypt(path, name, data, &person)
	return person, nil
}

// CanWrite says why no new secret can be written, if so: the key that would encrypt it
// cannot be read, or may not encrypt.
func (p Place) CanWrite() error {
	if p.Keys.Empty() {
		return nil
	}
	if _, err := p.Keys.Current(); err != nil {
		return fmt.Errorf("secrets cannot be encrypted: %w", err)
	}
	return nil
}

// CanKeep says why the person's secrets cannot be written as they are, if so: one is
// not encrypted, and cannot be, or it is where nothing may be that can be found out.
func (p Place) CanKeep(person Person) error {
	if p.Away {
		for _, hash := range person.Recovery.Hashes {
			if strings.HasPrefix(hash, ScratchPrefix) {
				return fmt.Errorf("%w: %s", ErrPlain, adviceOnScratch)
			}
		}
	}
	for _, f := range person.Factors {
		if !f.IsEncrypted() && len(f.Secret) > 0 {
			return p.CanWrite()
		}
	}
	return nil
}

// Open is Place.Open for a place without keys.
func Open(path string, own ...config.Protocol) (*Dir, error) {
	return Place{Path: path, Own: own}.Open()
}

// Create is Place.Create for a place without keys.
func Create(path string, own ...config.Protocol) (*Dir, error) {
	return Place{Path: path, Own: own}.Create()
}

// Parse is Place.Parse for a place without keys.
func Parse(path, name string, data []byte, own ...config.Protocol) (Person, error) {
	return Place{Path: path, Own: own}.Parse(path, name, data)
}
