package account

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Rewriting is what [Dir.Rewrite] does with the secrets of a person.
type Rewriting int

// What can be done with them.
const (
	// EncryptPlain encrypts those that are not.
	EncryptPlain Rewriting = iota + 1
	// Rotate encrypts those with the first key that are encrypted with another.
	Rotate
	// DecryptAll writes all as they are.
	DecryptAll
)

// Rewrite changes how the person's secrets stand in the file, and nothing else of it,
// and returns how many secrets it changed. With dry it only looks. A secret that
// cannot be read stays as it is and is an error, which does not keep others from being
// changed. Whenever it is killed the file is the old one or the new one; which of them
// a crash of the machine leaves is decided by Sync, which comes after the last one.
func (d *Dir) Rewrite(name string, how Rewriting, dry bool) (changed int, err error) {
	// Most are as they should be where this was broken off.
	person, err := d.Load(name)
	if err != nil {
		return 0, err
	}
	changed, err = d.place.rewrite(&person, how)
	if changed == 0 || dry {
		return changed, err
	}
	unlock, err := d.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	if person, err = d.Load(name); err != nil {
		return 0, err
	}
	changed, err = d.place.rewrite(&person, how)
	if changed == 0 {
		return 0, err
	}
	if failed := d.write(name, name, person, d.soon); failed != nil {
		return 0, failed
	}
	return changed, err
}

// Sync returns once what Rewrite wrote is on disk.
func (d *Dir) Sync() error { return safefile.SyncDir(d.dir) }

// RemoveLeft removes what killed commands left of files that they were writing: it may
// have secrets that are not encrypted, of people whose own files have none.
func (d *Dir) RemoveLeft() error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return safefile.RemoveAllLeft(d.dir)
}

// rewrite changes the person, and returns how many secrets are changed and which could
// not be.
func (p Place) rewrite(person *Person, how Rewriting) (changed int, err error) {
	current := ""
	if how != DecryptAll {
		if current, err = p.Keys.Current(); err != nil {
			return 0, err
		}
	}
	var failed []error
	for i := range person.Factors {
		f := &person.Factors[i]
		if f.Kind.IsSent() || how.done(*f, current) {
			continue
		}
		if err := f.Unreadable(); err != nil {
			failed = append(failed, err)
			continue
		}
		f.Encrypted = ""
		if how != DecryptAll {
			if f.Encrypted, err = p.Keys.Encrypt(f.place(person.User), f.Secret); err != nil {
				return 0, fmt.Errorf("encrypt the secret of factor %q: %w", f.ID, err)
			}
		}
		changed++
	}
	return changed, errors.Join(failed...)
}

// done says whether there is nothing to do with the secret of f. current is the name
// of the first key.
func (how Rewriting) done(f Factor, current string) bool {
	switch how {
	case EncryptPlain:
		return f.IsEncrypted()
	case Rotate:
		return !f.IsEncrypted() || keyring.KeyOf(f.Encrypted) == current
	}
	return !f.IsEncrypted()
}
