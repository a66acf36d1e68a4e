package account

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Rewriting is what [Store].Rewrite does with secrets.
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

// Rewrite implements [Store].
func (s *store) Rewrite(names []string, how Rewriting, dry bool) ([]Rewritten, error) {
	if !dry {
		unlock, err := s.lockInTurn(names)
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	held := *s
	held.place.Keys = s.place.Keys.Held()
	var done []Rewritten
	var all []Writing
	for _, name := range names {
		one, was, rewritten := held.rewritten(name, how)
		done = append(done, rewritten)
		if one != nil {
			all = append(all, Writing{Name: name, Data: one, Was: was})
		}
	}
	if dry || len(all) == 0 {
		return done, nil
	}
	failed, err := s.texts.WriteAll(all)
	for i, one := range done {
		if err := failed[one.User]; err != nil && one.Changed > 0 {
			done[i] = Rewritten{User: one.User, Err: err}
		}
	}
	return done, err
}

// lockInTurn locks these people's files, after a time in which others can who wait for
// that. They would hardly ever get it between two batches.
func (s *store) lockInTurn(names []string) (unlock func(), err error) {
	if s.rewrote {
		s.rest(4 * safefile.LockTries)
	}
	s.rewrote = true
	return s.texts.Lock(names...)
}

// rewritten is what the person's file is to have, nil if it stays as it is.
func (s *store) rewritten(name string, how Rewriting) ([]byte, Text, Rewritten) {
	done := Rewritten{User: name}
	person, was, err := s.load(name)
	if err != nil {
		done.Err = err
		return nil, was, done
	}
	done.Changed, done.Err = s.place.rewrite(&person, how)
	if done.Changed == 0 {
		return nil, was, done
	}
	data, err := s.encode(name, name, person)
	if err != nil {
		return nil, was, Rewritten{User: name, Err: err}
	}
	return data, was, done
}

// RemoveLeft implements [Store].
func (s *store) RemoveLeft() error {
	unlock, err := s.texts.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	return s.texts.RemoveLeft()
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
			if f.Encrypted, err = p.Keys.Encrypt(f.binding(person.User), f.Secret); err != nil {
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
