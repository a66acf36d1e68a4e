package casledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/ledger"
)

// Standing is what this ledger knows of an entry that another ledger has.
type Standing int

const (
	// Differs: there is another entry, which somebody stored here.
	Differs Standing = iota
	// Absent: nothing is known here.
	Absent
	// Same: it is as there, or there is nothing to know.
	Same
	// Outdated: it was received from there, and nobody has changed it here since. That is
	// so too of an entry that is known there no more.
	Outdated
)

// ErrDiffers is about an entry that is not received: here is another one.
var ErrDiffers = errors.New("there is another entry of that key already")

// Standing compares the encoded entry that the ledger from has with what is here: see
// [ledger.Move.Origin]. The error says so if one of the two cannot be used.
func (s *Store) Standing(ctx context.Context, key ledger.Key, payload []byte, from string) (Standing, error) {
	name := registerOf(key)
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	now, err := s.get(ctx, name)
	standing := Differs
	if err == nil {
		standing, err = standingOf(now, payload, receivedMark(from))
	}
	if err != nil {
		return Differs, fmt.Errorf("read ledger entry %q: %w", name, withContext(ctx, outOfReach(err)))
	}
	return standing, nil
}

func standingOf(now Register, payload, received []byte) (Standing, error) {
	mark, here, err := split(now)
	if err == nil {
		_, err = ledger.Decode(here)
	}
	switch {
	case err != nil:
		return Differs, err
	case now.Revision > 0 && bytes.Equal(here, payload):
		return Same, nil
	case len(payload) == 0 && (now.Revision == 0 || !bytes.Equal(mark, received)):
		return Same, nil
	case now.Revision == 0:
		return Absent, nil
	case bytes.Equal(mark, received):
		return Outdated, nil
	}
	return Differs, nil
}

// receivedMark is the mark of what is received from a ledger. Any change here puts a
// random one in its place, so it tells what nobody has changed since.
func receivedMark(from string) []byte {
	sum := sha256.Sum256([]byte("otpgate ledger move from " + from))
	return sum[:markBytes]
}

// Receive stores the encoded entry that the ledger from has, as it is, unless something
// else is known here: then the error wraps [ErrDiffers]. When it returns none
// the entry is here for good, but for how long entries of its kind are kept; stored is
// false if it was before.
func (s *Store) Receive(ctx context.Context, key ledger.Key, payload []byte, from string) (stored bool, err error) {
	if err := ledger.CheckKey(key); err != nil {
		return false, err
	}
	entry, err := ledger.Decode(payload)
	if err != nil {
		return false, err
	}
	name := registerOf(key)
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	next := swap{mark: receivedMark(from)}
	next.value = append(append([]byte{format}, next.mark...), payload...)
	keep := keepOf(key.Kind, entry, s.now())
	for unclear := false; ; s.pause(ctx) {
		now, err := s.get(ctx, name)
		standing := Differs
		if err == nil {
			standing, err = standingOf(now, payload, next.mark)
		}
		if err == nil && standing == Differs {
			err = ErrDiffers
		}
		switch {
		case err != nil && unclear && errors.Is(err, ErrUnavailable):
			return false, fmt.Errorf("store ledger entry %q: %w", name, inDoubt(ctx, err))
		case err != nil:
			return false, fmt.Errorf("store ledger entry %q: %w", name, withContext(ctx, outOfReach(err)))
		}
		if standing == Same {
			return stored, nil
		}
		// Whether this took place the next look tells: the same bytes are the same entry,
		// whoever has stored them, and however late.
		next.revision, stored = now.Revision, true
		if _, _, err = s.swap(ctx, name, next, keep); err != nil {
			if unclear = errors.Is(err, ErrUnavailable); !unclear {
				return false, fmt.Errorf("store ledger entry %q: %w", name, err)
			}
		}
	}
}

// Received calls do for what was received from a ledger and that nobody has changed here since,
// but for what is empty.
func (s *Store) Received(ctx context.Context, from string, do func(key ledger.Key) error) error {
	received := receivedMark(from)
	return s.each(ctx, func(register Named) error {
		mark, payload, err := split(register.Register)
		key, known := keyOf(register.Key)
		if err != nil || !known || len(payload) == 0 || !bytes.Equal(mark, received) {
			return nil
		}
		return do(key)
	})
}

// endOf is the register that says for ever that the ledger with an id was moved here. What
// else has that id then is an older copy, of which some codes are good that were used here.
func endOf(id string) string { return movedDirectory + "/" + id }

// Ended says whether the ledger with an id was moved here, be it from another copy of it.
func (s *Store) Ended(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	name := endOf(id)
	now, err := s.get(ctx, name)
	if err != nil {
		return false, fmt.Errorf("read ledger entry %q: %w", name, withContext(ctx, outOfReach(err)))
	}
	return now.Revision > 0, nil
}

// End says here that the whole ledger from, which has the id, was received.
func (s *Store) End(ctx context.Context, id, from string) error {
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	name := endOf(id)
	next := swap{mark: receivedMark(from)}
	next.value = append([]byte{format}, next.mark...)
	for {
		now, err := s.get(ctx, name)
		if err == nil && now.Revision == 0 {
			// Whether it was stored, the next look tells.
			if _, _, err = s.swap(ctx, name, next, 0); err == nil || errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
				s.pause(ctx)
				continue
			}
		}
		if err == nil && !bytes.Equal(now.Value, next.value) {
			err = ErrDiffers
		}
		if err != nil {
			return fmt.Errorf("store ledger entry %q: %w", name, withContext(ctx, outOfReach(err)))
		}
		return nil
	}
}

// TryWrite fails if nothing can be stored here. It stores what is there anyway: the id,
// which it returns.
func (s *Store) TryWrite(ctx context.Context) (id string, err error) {
	if id, err = s.ID(ctx); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	for {
		now, err := s.get(ctx, idName)
		var swapped bool
		if err == nil {
			if string(now.Value) != id {
				return "", fmt.Errorf("id of the ledger: it was %q, and is %q", id, now.Value)
			}
			swapped, _, err = s.swap(ctx, idName, swap{value: now.Value, revision: now.Revision}, 0)
		}
		switch {
		case err == nil && swapped:
			return id, nil
		case err != nil && !errors.Is(err, ErrUnavailable), ctx.Err() != nil:
			return "", fmt.Errorf("try to store something in the ledger: %w", withContext(ctx, outOfReach(errors.Join(err, ctx.Err()))))
		}
		s.pause(ctx)
	}
}
