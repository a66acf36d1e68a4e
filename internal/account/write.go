package account

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/otpgate/otpgate/internal/safefile"
)

// Change gives the person's file to change and writes what change made of it,
// whole or not at all. A person without a file is given to change as a zero
// Person with only User set and enabled. Changes wait for each other. An error
// of change is returned as it is, and nothing is written.
func (d *Dir) Change(name string, change func(*Person) error) error {
	unlock, err := d.lock(d.dir)
	if err != nil {
		return err
	}
	defer unlock()
	person, err := d.Load(name)
	if errors.Is(err, ErrNotFound) {
		person, err = Person{Version: 1, User: name, Enabled: true}, nil
	}
	if err != nil {
		return err
	}
	before := slices.Clone(person.Factors)
	if err := change(&person); err != nil {
		return err
	}
	return d.save(name, person, before)
}

// Remove deletes the person's file.
func (d *Dir) Remove(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	unlock, err := d.lock(d.dir)
	if err != nil {
		return err
	}
	defer unlock()
	err = safefile.Remove(d.dir, name+suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", d.Path(name), ErrNotFound)
	}
	return err
}

// save writes the file of name. before are the factors that it had.
func (d *Dir) save(name string, person Person, before []Factor) error {
	return d.saveBound(name, name, person, before)
}

// saveBound writes the file of name, bound to to: unless that is name it is
// refused by whoever reads it.
func (d *Dir) saveBound(name, to string, person Person, before []Factor) error {
	person.Factors = slices.Clone(person.Factors)
	if err := d.place.encrypt(person.User, &person, before); err != nil {
		return fmt.Errorf("write %s: %w", d.Path(name), err)
	}
	data, err := d.encode(name, to, person)
	if err != nil {
		return err
	}
	return safefile.Replace(d.dir, name+suffix, data, 0o600)
}

// encode is what the file of name is to have, for the person as it is.
func (d *Dir) encode(name, to string, person Person) ([]byte, error) {
	person.Binding = BindingOf(to)
	text, err := toml.Marshal(person.file())
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", d.Path(name), err)
	}
	data := append([]byte(person.heading), text...)
	// What could not be read back would lock the person out.
	again, err := parseBound(d.Path(name), name, to, data, d.place.Own)
	if err == nil {
		err = d.sameSecrets(data, person, again)
	}
	if err != nil {
		return nil, fmt.Errorf("not written: %w", err)
	}
	return data, nil
}

// sameSecrets refuses a file, read again from data, whose secrets are others than
// the person's: one that is lost here is lost.
func (d *Dir) sameSecrets(data []byte, person, again Person) error {
	d.place.decrypt(d.Path(again.User), again.User, data, &again)
	for i, f := range person.Factors {
		if len(f.Secret) > 0 && string(again.Factors[i].Secret) != string(f.Secret) {
			return fmt.Errorf("%s: the secret of factor %q would not be what it was", d.Path(again.User), f.ID)
		}
	}
	return nil
}
