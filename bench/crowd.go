package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// crowd makes a site where size people are enrolled and have logged in before,
// so that each has a secret file and an entry in the ledger. n of them, evenly
// among the others, log in by a forked core and as many others by the resident
// verifier; those have never done so.
//
// The files of the others are kept in build/bench between runs.
func crowd(size, n int, m model) (forked, resident *side, err error) {
	name := fmt.Sprintf("crowd-%d", size)
	state := filepath.Join(sites, name, "state")
	users, err := otpgateSite(name, realCore, state)
	if err != nil {
		return nil, nil, err
	}
	entries := filepath.Join(state, "users")
	complete := filepath.Join(sites, name, "complete")
	if _, err := os.Stat(complete); err != nil {
		if err := enrollCrowd(users, entries, size, m); err != nil {
			return nil, nil, err
		}
		if err := write(complete, ""); err != nil {
			return nil, nil, err
		}
	}
	through, err := residentService(name)
	if err != nil {
		return nil, nil, err
	}
	forked = &side{label: forkedLabel, every: 1}
	resident = &side{label: residentLabel, every: 1}
	stride := size / (2 * n)
	for i := range n {
		for of, s := range []*side{forked, resident} {
			user := crowdName(stride/2 + (2*i+of)*stride)
			if err := newcomer(users, entries, user, m); err != nil {
				return nil, nil, err
			}
			s.people = append(s.people, &person{service: []string{name, through}[of], name: user})
		}
	}
	return forked, resident, nil
}

// newcomer enrolls somebody anew, who has never logged in.
func newcomer(users, entries, user string, m model) error {
	if err := write(filepath.Join(users, user+".toml"), m.of(user)); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(entries, user)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func crowdName(i int) string { return fmt.Sprintf("user%06d", i) }

func enrollCrowd(users, entries string, size int, m model) error {
	fmt.Printf("making files of %d people, which are kept for the next run ...\n", size)
	entry, err := usedEntry(modelName)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(entries, 0o700); err != nil {
		return err
	}
	makers := runtime.NumCPU()
	errs := make([]error, makers)
	var work sync.WaitGroup
	for maker := range makers {
		work.Go(func() {
			for i := maker; i < size && errs[maker] == nil; i += makers {
				user := crowdName(i)
				errs[maker] = write(filepath.Join(users, user+".toml"), m.of(user))
				if errs[maker] == nil {
					errs[maker] = write(filepath.Join(entries, user), entry)
				}
			}
		})
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// usedEntry gives the bytes of a ledger entry as a login of that person long
// ago left it. Who it is of is said by the file's name alone, but only that
// person's next login changes it and adds nothing.
func usedEntry(of string) (string, error) {
	dir, err := os.MkdirTemp(disk, "entry-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	store, err := ledger.OpenFiles(dir)
	if err != nil {
		return "", err
	}
	defer store.Close()
	key := ledger.Key{Kind: ledger.User, Name: modelName}
	err = store.Update(context.Background(), key, hasLoggedIn(of))
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(dir, "users", modelName))
	return string(data), err
}

// hasLoggedIn makes an entry as a login of that person long ago left it.
func hasLoggedIn(of string) func(*ledger.Entry) error {
	return func(entry *ledger.Entry) error {
		entry.LastLogin = time.Now().UTC().Truncate(time.Second)
		phone := factor.TOTP{User: of, Factor: account.Factor{Kind: account.TOTP, Secret: secret(of), Period: period}}
		entry.Used = map[string]ledger.Use{phone.Fingerprint(): {Step: phone.Step(time.Now()) - 1000}}
		return nil
	}
}
