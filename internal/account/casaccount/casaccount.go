// Package casaccount keeps secret files where the ledger is that several servers share.
//
// The entry point is [New]. It promises what package account does of a store, and that
// no secret leaves this machine which is not encrypted. Nothing is cached: what one
// server wrote, the next login on every other one reads. A change is stored only if the
// file is still what it was made of, and once, whatever becomes of the answer: who
// cannot be told what became of it is told that, and nothing is tried again.
package casaccount

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/keylock"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// New gives the store of the secret files in shared, below that prefix of the service's.
// place says how they are read and written; what it says of where they are, and that a
// secret may stand there as it is, does not count. The ledger stays open at Close.
func New(place account.Place, shared *casledger.Store, prefix string) account.Store {
	place.Required, place.Away = true, true
	return account.NewStore(place, &texts{ledger: shared, prefix: prefix, place: place})
}

// texts are secret files in a ledger.
type texts struct {
	ledger *casledger.Store
	prefix string
	place  account.Place
}

var _ account.Texts = (*texts)(nil)

// patience is how long others of this process are waited for who change the same file.
const patience = 10 * time.Second

// locks has those of this process work on a file one after the other. Of several who enroll the same
// person one then writes and the others see it, where otherwise they would fail.
var locks keylock.Locks

// Close implements [account.Texts].
func (t *texts) Close() error { return nil }

// Path is what messages call the place of all secret files below that prefix.
func Path(prefix string) string {
	return "etcd:" + prefix + strings.TrimSuffix(casledger.TextDirectory, "/")
}

// Path implements [account.Texts].
func (t *texts) Path(name string) string { return "etcd:" + t.prefix + nameOf(name) }

func (t *texts) notFound(name string) error {
	return fmt.Errorf("%s: %w", t.Path(name), account.ErrNotFound)
}

// Read implements [account.Texts]. It waits for the majority of the service, and so gives
// nothing that is not the last. Whoever has a file where none counts, or had one that was
// moved to a service which has forgotten it, must not pass for somebody who never enrolled.
func (t *texts) Read(name string) (account.Text, error) {
	data, revision, err := t.ledger.Text(context.Background(), nameOf(name))
	text := account.Text{Data: data, Revision: revision}
	if err != nil {
		return text, fmt.Errorf("secret file %s: %w", t.Path(name), err)
	}
	if len(data) == 0 {
		if err := t.place.CheckLeft(name); err != nil {
			return text, err
		}
		if revision == 0 {
			if err := t.place.CheckForgotten(name); err != nil {
				return text, err
			}
		}
		return text, t.notFound(name)
	}
	return text, nil
}

// Lock implements [account.Texts]. It is for this process alone: others find out when they
// write.
func (t *texts) Lock(names ...string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var leave []func()
	unlock = func() {
		for _, one := range leave {
			one()
		}
	}
	// In one order, so that no two wait for each other.
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		one, err := locks.Lock(ctx, t.Path(name))
		if err != nil {
			unlock()
			return nil, fmt.Errorf("secret file %s: wait for others who change it: %w", t.Path(name), err)
		}
		leave = append(leave, one)
	}
	return unlock, nil
}

// Write implements [account.Texts].
func (t *texts) Write(name string, data []byte, was account.Text) error {
	path := t.Path(name)
	if len(data) == 0 || len(data) > account.MaxText {
		return fmt.Errorf("write %s: %d bytes, expected 1 to %d", path, len(data), account.MaxText)
	}
	if err := account.CheckEncrypted(path, data); err != nil {
		return fmt.Errorf("not written: %w", err)
	}
	return t.set(name, data, was.Revision)
}

func (t *texts) set(name string, data []byte, revision int64) error {
	err := t.ledger.SetText(context.Background(), nameOf(name), data, revision)
	switch {
	case errors.Is(err, casledger.ErrOther):
		err = account.ErrChanged
	case errors.Is(err, casledger.ErrUnclear):
		err = unclear{err}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", t.Path(name), err)
	}
	return nil
}

// unclear is an [account.ErrUnclear].
type unclear struct{ error }

func (u unclear) Error() string      { return u.error.Error() + "; look, and try again if it was not" }
func (u unclear) Unwrap() error      { return u.error }
func (unclear) Is(target error) bool { return target == account.ErrUnclear }

// WriteAll implements [account.Texts]. It ends at the first error that is not about one
// file alone: all others would end in the same, each after its own time.
func (t *texts) WriteAll(all []account.Writing) (failed map[string]error, err error) {
	const atOnce = 8
	var mu sync.Mutex
	var work sync.WaitGroup
	failed = map[string]error{}
	next := 0
	take := func() (one account.Writing, more bool) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil || next == len(all) {
			return one, false
		}
		next++
		return all[next-1], true
	}
	for range atOnce {
		work.Go(func() {
			for one, more := take(); more; one, more = take() {
				problem := t.Write(one.Name, one.Data, one.Was)
				mu.Lock()
				switch {
				case errors.Is(problem, account.ErrChanged), errors.Is(problem, account.ErrPlain):
					failed[one.Name] = problem
				case problem != nil && err == nil:
					err = problem
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return failed, err
}

// Remove implements [account.Texts]. An empty text takes the place of the file, damaged or
// not, and stays for ever: a lost answer to a change of before can have no effect any more,
// and no [Move] brings back who was removed, from whichever directory and however late.
func (t *texts) Remove(name string, was *account.Text) error {
	if was == nil {
		now, err := t.Read(name)
		if err != nil && !errors.Is(err, ledger.ErrDamaged) {
			return err
		}
		was = &now
	}
	return t.set(name, nil, was.Revision)
}

// RemoveLeft implements [account.Texts]: nothing half-written is ever stored.
func (t *texts) RemoveLeft() error { return nil }

// List implements [account.Texts].
func (t *texts) List() (names, strays []string, err error) {
	err = t.ledger.EachText(context.Background(), casledger.TextDirectory, func(key string, text []byte, problem error) {
		name := key[strings.LastIndexByte(key, '/')+1:]
		switch {
		case account.CheckName(name) != nil || nameOf(name) != key:
			strays = append(strays, strings.TrimPrefix(key, casledger.TextDirectory))
		case len(text) > 0 || problem != nil:
			names = append(names, name)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list secret files: %w", err)
	}
	slices.Sort(names)
	return names, strays, nil
}

// Like implements [account.Texts].
func (t *texts) Like(name string) (like []string, err error) {
	directory := directoryOf(name)
	err = t.ledger.EachText(context.Background(), directory, func(key string, text []byte, problem error) {
		other := strings.TrimPrefix(key, directory)
		if other != name && strings.EqualFold(other, name) && account.CheckName(other) == nil && (len(text) > 0 || problem != nil) {
			like = append(like, other)
		}
	})
	if err == nil && len(like) == 0 {
		err = t.checkFormerLike(name)
	}
	if err != nil {
		return nil, fmt.Errorf("list secret files: %w", err)
	}
	return like, nil
}

// checkFormerLike fails if somebody has a file where none counts, or had one that is
// forgotten, whose name differs from name in its cases alone.
func (t *texts) checkFormerLike(name string) error {
	if err := t.place.CheckLeftLike(name); err != nil {
		return err
	}
	moved, err := t.place.MovedLike(name)
	if err != nil {
		return err
	}
	for _, other := range moved {
		if _, err := t.Read(other); err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
	}
	return nil
}
