package main

import (
	"errors"
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
	for i := range n {
		name := fmt.Sprintf("core-encrypted-%d", i) // as clearStale has it
		users, err := otpgateSite(name, realCore, filepath.Join(sites, name, "state"))
		if err != nil {
			return nil, err
		}
		if err := write(filepath.Join(users, "alone.toml"), m.of("alone")); err != nil {
			return nil, err
		}
		if err := encryptSite(name, users); err != nil {
			return nil, err
		}
		s.people = append(s.people, &person{service: name, name: "alone"})
	}
	return s, nil
}

// residentEncrypted is residentAlone with a secret that is encrypted.
func residentEncrypted(n int, m model) (*side, error) {
	const site = "resident-encrypted"
	s, err := residentAlone(site, filepath.Join(sites, site, "state"), n, m)
	if err != nil {
		return nil, err
	}
	s.label = residentEncryptedLabel
	return s, encryptSite(site, filepath.Join(sites, site, "users"))
}

// encryptSite makes a key for a site and encrypts its one person's secret.
func encryptSite(site, users string) error {
	key := filepath.Join(sites, "keys", site)
	_, data := keyring.NewFile()
	if err := write(key, string(data)); err != nil {
		return err
	}
	text, err := os.ReadFile(configOf(site))
	if err != nil {
		return err
	}
	if err := write(configOf(site), string(text)+fmt.Sprintf("[secrets]\nkeys = [%q]\n", key)); err != nil {
		return err
	}
	return encryptOne(account.Place{Path: users, Keys: keyring.New(key)}, "alone")
}

func encryptOne(place account.Place, name string) error { return encryptAll(place, []string{name}) }

// encryptAll does that for several.
func encryptAll(place account.Place, names []string) error {
	dir, err := place.Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	done, err := dir.Rewrite(names, account.EncryptPlain, false)
	for _, one := range done {
		err = errors.Join(err, one.Err)
	}
	return err
}
