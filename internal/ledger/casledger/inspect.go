package casledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// Inspector is a Registers that admins can look at as a whole.
type Inspector interface {
	Registers

	// Status says how the service is. Members that do not answer are in it, with why.
	Status(ctx context.Context) (Status, error)

	// Page reads registers whose keys come behind after, in their order: some of them,
	// or none if there are no more.
	Page(ctx context.Context, after string) ([]Named, error)
}

// Named is a register with its key.
type Named struct {
	Key string
	Register
}

// Status is how a service is.
type Status struct {
	// Members are those that this machine asks.
	Members []Member `json:"members"`
	// Prefix is before the keys that this machine asks for.
	Prefix string `json:"prefix"`
	// Size is how many the service itself counts, 0 if none has said so.
	Size int `json:"size"`
	// Refused is why this machine may not read and change the ledger, or why nobody said
	// that it may; "" if it may.
	Refused string `json:"refused,omitempty"`
	// Unguarded says that this machine may read what is not the ledger's too, as where
	// the service asks nobody who they are.
	Unguarded bool `json:"unguarded,omitempty"`
}

// Member is one of the service's servers.
type Member struct {
	URL     string `json:"url"`
	Version string `json:"version,omitempty"`
	Leader  bool   `json:"leader,omitempty"`
	// Bytes is the size of its file, InUse what of it is not free, and Quota where the
	// service stops to take changes; 0 if that is not known.
	Bytes int64 `json:"bytes,omitempty"`
	InUse int64 `json:"in_use,omitempty"`
	Quota int64 `json:"quota,omitempty"`
	// Alarms are those that it reports.
	Alarms []string `json:"alarms,omitempty"`
	// Clock is what it was there when it answered, to the second, and Asked what it was
	// here, as near to that as it may have been. Both are zero if that is not known.
	Clock time.Time `json:"clock,omitzero"`
	Asked time.Time `json:"asked,omitzero"`
	// Certificate is when the one ends by which it is known, zero if it has none.
	Certificate time.Time `json:"certificate_end,omitzero"`
	// Problem is why it did not answer, or what it did not say.
	Problem string `json:"problem,omitempty"`
}

var errNoInspector = errors.New("this ledger cannot be looked at as a whole")

// Status says how the service is that the ledger is in.
func (s *Store) Status(ctx context.Context) (Status, error) {
	inspector, can := s.registers.(Inspector)
	if !can {
		return Status{}, errNoInspector
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	return inspector.Status(ctx)
}

// KnownID is the ledger's id, "" as long as none was drawn.
func (s *Store) KnownID(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	now, err := s.get(ctx, idName)
	if err != nil {
		return "", fmt.Errorf("id of the ledger: %w", outOfReach(err))
	}
	return string(now.Value), nil
}

// Each implements [ledger.Walker]. What this package keeps for itself is visited only if
// it is damaged.
func (s *Store) Each(ctx context.Context, do func(name string, err error) error) error {
	return s.each(ctx, func(register Named) error {
		err := register.check()
		if directory, _, _ := strings.Cut(register.Key, "/"); err == nil && (directory == movedDirectory || directory+"/" == TextDirectory) {
			return nil
		}
		return do(register.Key, err)
	})
}

// each calls do for all registers but that of the id.
func (s *Store) each(ctx context.Context, do func(register Named) error) error {
	inspector, can := s.registers.(Inspector)
	if !can {
		return errNoInspector
	}
	for after := ""; ; {
		page, err := s.page(ctx, inspector, after)
		if err != nil {
			return fmt.Errorf("go through the ledger: %w", outOfReach(err))
		}
		if len(page) == 0 {
			return nil
		}
		for _, register := range page {
			if register.Key <= after {
				return fmt.Errorf("go through the ledger: %q comes behind %q", register.Key, after)
			}
			after = register.Key
			if register.Key == idName {
				continue
			}
			if err := do(register); err != nil {
				return err
			}
		}
	}
}

// page asks until there is an answer or the time for one read is over.
func (s *Store) page(ctx context.Context, inspector Inspector, after string) ([]Named, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	for {
		try, cancelTry := context.WithTimeout(ctx, s.limits.Try)
		page, err := inspector.Page(try, after)
		cancelTry()
		if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return page, err
		}
		s.pause(ctx)
	}
}

// check says what is wrong with a register, nil if it is an entry.
func (n Named) check() error {
	directory, name, _ := strings.Cut(n.Key, "/")
	if known := append(directories(), movedDirectory, strings.TrimSuffix(TextDirectory, "/")); !slices.Contains(known, directory) || name == "" {
		return fmt.Errorf("%w: no key of the ledger's; expected a name behind one of %s/", ledger.ErrDamaged, strings.Join(known, "/, "))
	}
	_, payload, err := split(n.Register)
	if err == nil && directory+"/" != TextDirectory {
		_, err = ledger.Decode(payload)
	}
	return err
}

// directories are what keys begin with, in order.
func directories() (known []string) {
	for _, kind := range kinds {
		known = append(known, kind.directory)
	}
	slices.Sort(known)
	return known
}
