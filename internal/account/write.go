package account

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// Change implements [Store]. Changes wait for each other where they can be made to.
func (s *store) Change(name string, change func(*Person) error) error {
	unlock, err := s.texts.Lock(name)
	if err != nil {
		return err
	}
	defer unlock()
	person, was, err := s.load(name)
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
	return s.save(name, person, before, was)
}

// Remove implements [Store].
func (s *store) Remove(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	unlock, err := s.texts.Lock(name)
	if err != nil {
		return err
	}
	defer unlock()
	return s.texts.Remove(name, nil)
}

// save writes the file of name in the place of the text that was read. before are the
// factors that it had.
func (s *store) save(name string, person Person, before []Factor, was Text) error {
	_, err := s.saveBound(name, name, person, before, was)
	return err
}

// saveBound writes the file of name, bound to to: unless that is name it is
// refused by whoever reads it. It returns what it wrote.
func (s *store) saveBound(name, to string, person Person, before []Factor, was Text) ([]byte, error) {
	person.Factors = slices.Clone(person.Factors)
	if err := s.place.encrypt(person.User, &person, before); err != nil {
		return nil, fmt.Errorf("write %s: %w", s.Path(name), err)
	}
	data, err := s.encode(name, to, person)
	if err != nil {
		return nil, err
	}
	return data, s.texts.Write(name, data, was)
}

// encode is what the file of name is to have, for the person as it is.
func (s *store) encode(name, to string, person Person) ([]byte, error) {
	person.Binding = BindingOf(to)
	text, err := toml.Marshal(person.file())
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", s.Path(name), err)
	}
	data := append([]byte(person.heading), text...)
	// What could not be read back would lock the person out.
	again, err := parseBound(s.Path(name), name, to, data, s.place.Own)
	if err == nil {
		err = s.sameSecrets(data, person, again)
	}
	if err != nil {
		return nil, fmt.Errorf("not written: %w", err)
	}
	return data, nil
}

// sameSecrets refuses a file, read again from data, whose secrets are others than
// the person's: one that is lost here is lost.
func (s *store) sameSecrets(data []byte, person, again Person) error {
	s.place.decrypt(s.Path(again.User), again.User, data, &again)
	for i, f := range person.Factors {
		if len(f.Secret) > 0 && string(again.Factors[i].Secret) != string(f.Secret) {
			return fmt.Errorf("%s: the secret of factor %q would not be what it was", s.Path(again.User), f.ID)
		}
	}
	return nil
}
