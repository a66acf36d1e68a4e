package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/keyring"
)

// encryptedAlone is otpgateAlone with secrets that are encrypted, so that each core
// reads the file of a key and decrypts.
func encryptedAlone(n int, m model) (*side, error) {
	s := &side{label: encryptedLabel, every: 1}
	key := filepath.Join(sites, "keys", "first")
	_, data := keyring.NewFile()
	if err := write(key, string(data)); err != nil {
		return nil, err
	}
	ring := keyring.New(key)
	for i := range n {
		name := fmt.Sprintf("encrypted-%d", i)
		users, err := otpgateSite(name, realCore, filepath.Join(sites, name, "state"))
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(configOf(name))
		if err != nil {
			return nil, err
		}
		if err := write(configOf(name), string(text)+fmt.Sprintf("[secrets]\nkeys = [%q]\n", key)); err != nil {
			return nil, err
		}
		if err := write(filepath.Join(users, "alone.toml"), m.of("alone")); err != nil {
			return nil, err
		}
		if err := encryptOne(account.Place{Path: users, Keys: ring}, "alone"); err != nil {
			return nil, err
		}
		s.people = append(s.people, &person{service: name, name: "alone"})
	}
	return s, nil
}

func encryptOne(place account.Place, name string) error {
	dir, err := place.Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	done, err := dir.Rewrite([]string{name}, account.EncryptPlain, false)
	if err == nil {
		err = done[0].Err
	}
	return err
}
