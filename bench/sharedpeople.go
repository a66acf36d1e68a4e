package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/account/casaccount"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgermove"
)

const (
	sharedPeopleLabel = "otpgate res., people too"
	sharedPeopleSite  = "shared-people"
)

// withPeople makes a site of n people who are in etcd themselves, with encrypted secrets.
func (l *sharedLedger) withPeople(n int, m model) (*side, error) {
	// What an earlier run has moved is in an etcd that is gone.
	if err := os.RemoveAll(filepath.Join(sites, sharedPeopleSite)); err != nil {
		return nil, err
	}
	s, err := l.site(sharedPeopleSite, n, m)
	if err != nil {
		return nil, err
	}
	s.label = sharedPeopleLabel
	key := filepath.Join(sites, "keys", sharedPeopleSite)
	_, data := keyring.NewFile()
	if err := write(key, string(data)); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(configOf(sharedPeopleSite))
	if err != nil {
		return nil, err
	}
	// The table [ledger] comes last.
	if err := write(configOf(sharedPeopleSite), string(text)+fmt.Sprintf("people = true\n[secrets]\nkeys = [%q]\n", key)); err != nil {
		return nil, err
	}
	from := account.Place{Path: filepath.Join(sites, sharedPeopleSite, "users"), Keys: keyring.New(key)}
	var names []string
	for _, p := range s.people {
		names = append(names, p.name)
	}
	if err := encryptAll(from, names); err != nil {
		return nil, err
	}
	return s, l.movePeople(from)
}

// movePeople does what otpctl ledger move does, for the ledger and for people.
func (l *sharedLedger) movePeople(from account.Place) error {
	settings := l.server
	settings.Prefix = sharedPeopleSite + "/"
	store, err := etcdledger.Open(settings)
	if err != nil {
		return err
	}
	defer store.Close()
	silent := func(string, int) func() { return func() {} }
	move := ledgermove.Move{
		Dir: filepath.Join(sites, sharedPeopleSite, "state"), To: store, Kind: "etcd", Prefix: settings.Prefix, Now: time.Now,
		Names: func() ([]string, error) { return nil, nil }, Progress: silent,
	}
	if _, err := move.Run(context.Background()); err != nil {
		return fmt.Errorf("move the ledger: %w", err)
	}
	if _, err := (casaccount.Move{From: from, Ledger: store, Prefix: settings.Prefix, Progress: silent}).Run(); err != nil {
		return fmt.Errorf("move people: %w", err)
	}
	return nil
}
