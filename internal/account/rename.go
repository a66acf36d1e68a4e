package account

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// What is wrong with a secret file that a user has who was renamed.
var (
	// ErrOfAnother is wrapped by the error for a file that was written for
	// somebody else: what the ledger knows to be used is under that name.
	ErrOfAnother = errors.New("written for another user")
	// ErrTaken is wrapped by the error for a new name that has a file of its own.
	ErrTaken = errors.New("there is a secret file already")
)

// BindingOf is what the file of name says of whom it was written for. It is no
// secret: it keeps a file that is renamed by hand, its user edited, from passing
// for one of which nothing was ever used.
func BindingOf(name string) string {
	sum := sha256.Sum256([]byte("otpgate binding\x00" + name))
	return hex.EncodeToString(sum[:8])
}

// RecoveryUser is the name that the person's recovery codes are bound to.
func (p Person) RecoveryUser() string {
	if p.Recovery.User != "" {
		return p.Recovery.User
	}
	return p.User
}

// renamed says what to do about a file of the user p under the name name.
func (p Person) renamed(name string) string {
	if CheckName(p.User) != nil || CheckName(name) != nil {
		return ""
	}
	return fmt.Sprintf("; if %s was renamed to %s: otpctl rename %s %s", p.User, name, p.User, name)
}

// ofAnother marks the error at key if that is about whose file it is.
func ofAnother(key []string, err error) error {
	if key[0] == "user" || key[0] == "binding" {
		return anothersError{err}
	}
	return err
}

type anothersError struct{ error }

func (a anothersError) Unwrap() error { return ErrOfAnother }

// Rename implements [Store].
func (s *store) Rename(from, to string, known func(Person) (bool, error), may func(Person) error, move func(*Person) error) (Person, error) {
	if err := errors.Join(CheckName(from), CheckName(to)); err != nil {
		return Person{}, err
	}
	if from == to {
		return Person{}, fmt.Errorf("user %q: expected another name", to)
	}
	unlock, err := s.texts.Lock(from, to)
	if err != nil {
		return Person{}, err
	}
	defer unlock()
	found, err := s.toRename(from, to, known)
	if err != nil {
		return Person{}, err
	}
	person := found.person
	before := slices.Clone(person.Factors)
	person.User = to
	for i := range person.Factors {
		person.Factors[i].Encrypted = "" // it was for the former name
	}
	if len(person.Recovery.Hashes) > 0 && person.Recovery.User == "" {
		person.Recovery.User = from
	}
	if err := may(person); err != nil {
		return Person{}, err
	}
	begun, err := s.saveBound(to, from, person, before, found.there)
	if err != nil {
		return Person{}, err
	}
	if err := move(&person); err != nil {
		return Person{}, err
	}
	if !found.moved {
		if err := s.texts.Remove(from, &found.text); err != nil {
			return Person{}, err
		}
	}
	was, err := s.texts.Read(to)
	if err == nil && !bytes.Equal(was.Data, begun) {
		err = fmt.Errorf("%s: %w", s.Path(to), ErrChanged)
	}
	if err != nil {
		return Person{}, err
	}
	return person, s.save(to, person, before, was)
}

// renaming is the file that is to be renamed.
type renaming struct {
	person Person
	// moved says that it is under the new name, and none under the old one.
	moved bool
	// text is that under the old name, there that under the new one, if there are such.
	text, there Text
}

// toRename finds the file that is to be renamed.
func (s *store) toRename(from, to string, known func(Person) (bool, error)) (renaming, error) {
	there, text, begun, err := s.under(from, to)
	if err != nil {
		return renaming{}, err
	}
	found := renaming{there: text}
	found.person, found.text, err = s.load(from)
	// What was used is known by the secret alone, so one that cannot be read stays.
	switch gone := errors.Is(err, ErrNotFound); {
	case err != nil && (!gone || there == nil):
		return renaming{}, err
	case there == nil, !gone && begun:
		return found, found.person.Unreadable()
	case gone && begun:
		found.person, found.moved = *there, true
		return found, there.Unreadable()
	case gone && there.Binding == "":
		if err := there.Unreadable(); err != nil {
			return renaming{}, err
		}
		if ours, err := known(*there); err != nil || ours {
			found.person, found.moved = *there, true
			return found, err
		}
	}
	return renaming{}, fmt.Errorf("%s: %w", s.Path(to), ErrTaken)
}

// under reads the file of to, if there is one. begun says that it is that of from.
func (s *store) under(from, to string) (there *Person, text Text, begun bool, err error) {
	text, err = s.texts.Read(to)
	if errors.Is(err, ErrNotFound) {
		return nil, text, false, nil
	}
	if err != nil {
		return nil, text, false, err
	}
	person, err := parse(s.Path(to), text.Data)
	if err != nil {
		return nil, text, false, err
	}
	bound := to
	if begun = person.User == from || person.Binding == BindingOf(from); begun {
		person.User, bound = to, from
	}
	if problem, key := person.check(to, bound); problem != "" {
		return nil, text, false, ofAnother(key, tomlfile.At(s.Path(to), text.Data, problem, key...))
	}
	s.place.decrypt(s.Path(to), to, text.Data, &person)
	if errors.Is(person.Unreadable(), keyring.ErrDamaged) {
		// Somebody may have moved the file by hand.
		s.place.decrypt(s.Path(to), from, text.Data, &person)
	}
	return &person, text, begun, nil
}
