package account

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Rewriting is what [Dir.Rewrite] does with secrets.
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

// Rewritten is what became of one person's secrets.
type Rewritten struct {
	User    string
	Changed int // secrets
	// Err says which secrets are as before though they should not be, or why all are.
	Err error
}

// BatchSize is how many people Rewrite is best given at once: it looks at the keys' files
// and waits for the disk once, and keeps others from changing secret files meanwhile.
const BatchSize = 500

// Rewrite changes how the secrets of some people stand in their files, and nothing else
// of them. With dry it only looks. A secret that cannot be read stays as it is, which
// does not keep others from being changed. Whenever it is killed, each file is the old
// one or the new one. The error is of what concerns all of them.
func (d *Dir) Rewrite(names []string, how Rewriting, dry bool) ([]Rewritten, error) {
	if !dry {
		unlock, err := d.lockInTurn()
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	held := *d
	held.place.Keys = d.place.Keys.Held()
	var done []Rewritten
	var files []safefile.Replacement
	for _, name := range names {
		data, one := held.rewritten(name, how)
		done = append(done, one)
		if data != nil {
			files = append(files, safefile.Replacement{Name: name + suffix, Data: data})
		}
	}
	if dry || len(files) == 0 {
		return done, nil
	}
	return done, d.replaceAll(d.dir, files, 0o600)
}

// lockInTurn locks the directory, after a time in which others can who wait for it. They
// would hardly ever get it between two batches.
func (d *Dir) lockInTurn() (unlock func(), err error) {
	if d.rewrote {
		d.rest(4 * safefile.LockTries)
	}
	d.rewrote = true
	return d.lock(d.dir)
}

// rewritten is what the person's file is to have, nil if it stays as it is.
func (d *Dir) rewritten(name string, how Rewriting) ([]byte, Rewritten) {
	done := Rewritten{User: name}
	person, err := d.Load(name)
	if err != nil {
		done.Err = err
		return nil, done
	}
	done.Changed, done.Err = d.place.rewrite(&person, how)
	if done.Changed == 0 {
		return nil, done
	}
	data, err := d.encode(name, name, person)
	if err != nil {
		return nil, Rewritten{User: name, Err: err}
	}
	return data, done
}

// RemoveLeft removes what killed commands left of files that they were writing: it may
// have secrets that are not encrypted, of people whose own files have none.
func (d *Dir) RemoveLeft() error {
	unlock, err := d.lock(d.dir)
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
