package account

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/safefile"
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

// Rename gives the secret file of the user from to the name to, whose file must
// not be there. move is to take along what is known of the person elsewhere; it
// is given the person as it will be. Until all is done logins refuse the file of to,
// and that of from is there until move has returned. In whichever step it is
// killed, the same Rename again goes on.
//
// It also finishes what somebody began by hand, who moved the file. known says
// whether a file that says nothing of whom it was written for is that of from. may
// is given the person as it will be, before anything is written.
func (d *Dir) Rename(from, to string, known func(Person) (bool, error), may func(Person) error, move func(*Person) error) (Person, error) {
	if err := errors.Join(CheckName(from), CheckName(to)); err != nil {
		return Person{}, err
	}
	if from == to {
		return Person{}, fmt.Errorf("user %q: expected another name", to)
	}
	unlock, err := d.lock(d.dir)
	if err != nil {
		return Person{}, err
	}
	defer unlock()
	person, moved, err := d.toRename(from, to, known)
	if err != nil {
		return Person{}, err
	}
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
	if err := d.saveBound(to, from, person, before); err != nil {
		return Person{}, err
	}
	if err := move(&person); err != nil {
		return Person{}, err
	}
	if !moved {
		if err := safefile.Remove(d.dir, from+suffix); err != nil {
			return Person{}, err
		}
	}
	return person, d.save(to, person, before)
}

// toRename finds the file that is to be renamed. moved says that it is under the
// new name, and none under the old one.
func (d *Dir) toRename(from, to string, known func(Person) (bool, error)) (person Person, moved bool, err error) {
	there, begun, err := d.under(from, to)
	if err != nil {
		return Person{}, false, err
	}
	person, err = d.Load(from)
	// What was used is known by the secret alone, so one that cannot be read stays.
	switch gone := errors.Is(err, ErrNotFound); {
	case err != nil && (!gone || there == nil):
		return Person{}, false, err
	case there == nil, !gone && begun:
		return person, false, person.Unreadable()
	case gone && begun:
		return *there, true, there.Unreadable()
	case gone && there.Binding == "":
		if err := there.Unreadable(); err != nil {
			return Person{}, false, err
		}
		if ours, err := known(*there); err != nil || ours {
			return *there, true, err
		}
	}
	return Person{}, false, fmt.Errorf("%s: %w", d.Path(to), ErrTaken)
}

// under reads the file of to, if there is one. begun says that it is that of from.
func (d *Dir) under(from, to string) (there *Person, begun bool, err error) {
	data, err := safefile.ReadIn(d.dir, to+suffix, rules)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("secret file: %w", err)
	}
	person, err := parse(d.Path(to), data)
	if err != nil {
		return nil, false, err
	}
	bound := to
	if begun = person.User == from || person.Binding == BindingOf(from); begun {
		person.User, bound = to, from
	}
	if problem, key := person.check(to, bound); problem != "" {
		return nil, false, ofAnother(key, tomlfile.At(d.Path(to), data, problem, key...))
	}
	d.place.decrypt(d.Path(to), to, data, &person)
	if errors.Is(person.Unreadable(), keyring.ErrDamaged) {
		// Somebody may have moved the file by hand.
		d.place.decrypt(d.Path(to), from, data, &person)
	}
	return &person, begun, nil
}
