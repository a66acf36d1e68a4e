package casledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Texts are kept beside the entries, by whoever may change one only as a whole and only
// if it is still what was read. Entries have none of their names.

// TextDirectory is what the names of texts begin with.
const TextDirectory = "people/"

// ErrOther is wrapped by the error for a text that somebody else has changed since it
// was read. Nothing has been stored then.
var ErrOther = errors.New("somebody else has changed it")

// Text reads a text, and the revision by which SetText knows it. There is none of
// revision 0, and an empty one where one was taken away. One that is damaged has a revision
// too, beside the error.
func (s *Store) Text(ctx context.Context, name string) (text []byte, revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	now, err := s.getAfter(ctx, name)
	if err == nil {
		_, text, err = split(now)
	}
	if err != nil {
		return nil, now.Revision, withContext(ctx, outOfReach(err))
	}
	return text, now.Revision, nil
}

// SetText stores a text in the place of the one of that revision, and no other. Whatever
// becomes of an answer, it is stored once: an error that does not wrap ErrOther may leave
// open whether it was.
func (s *Store) SetText(ctx context.Context, name string, text []byte, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	mark := newMark()
	next := swap{mark: mark, revision: revision, value: slices.Concat([]byte{format}, mark, text)}
	for unclear := false; ; {
		stored, now, err := s.swap(ctx, name, next, 0)
		if errors.Is(err, ErrUnavailable) {
			unclear = true
			s.pause(ctx)
			if ctx.Err() == nil {
				stored = false
				now, err = s.get(ctx, name)
			}
		}
		var done bool
		if err == nil && !stored {
			done, err = next.isStored(now, unclear)
		}
		switch {
		case err == nil && (stored || done):
			return nil
		case err != nil && unclear:
			return inDoubt(ctx, err)
		case err != nil:
			return err
		}
	}
}

// isStored says what became of a text, by what is there. Without an error it has not been
// stored and may be sent again: the very same bytes, see the package's comment.
func (n *swap) isStored(now Register, unclear bool) (bool, error) {
	mark, _, err := split(now)
	switch {
	case err != nil:
		return false, err
	case bytes.Equal(mark, n.mark):
		return true, nil
	case unclear && now.Revision == n.revision:
		return false, nil
	}
	return false, ErrOther
}

// EachText calls do for the texts whose names begin with prefix, in the order of the names.
// err says what is wrong with one.
func (s *Store) EachText(ctx context.Context, prefix string, do func(name string, text []byte, err error)) error {
	inspector, can := s.registers.(Inspector)
	if !can {
		return errNoInspector
	}
	if err := s.CheckFormer(ctx); err != nil {
		return err
	}
	for after := prefix; ; {
		page, err := s.page(ctx, inspector, after)
		if err != nil {
			return outOfReach(err)
		}
		for _, register := range page {
			if register.Key <= after {
				return fmt.Errorf("%q comes behind %q", register.Key, after)
			}
			if !strings.HasPrefix(register.Key, prefix) {
				return nil
			}
			after = register.Key
			_, text, err := split(register.Register)
			do(register.Key, text, err)
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// HasTexts says whether there are texts, or ever were any: one that was taken away is one.
func (s *Store) HasTexts(ctx context.Context) (bool, error) {
	inspector, can := s.registers.(Inspector)
	if !can {
		return false, errNoInspector
	}
	page, err := s.page(ctx, inspector, TextDirectory)
	if err != nil {
		return false, outOfReach(err)
	}
	return beginsWithText(page), nil
}

// anyText is HasTexts, asked once.
func anyText(ctx context.Context, inspector Inspector) (bool, error) {
	page, err := inspector.Page(ctx, TextDirectory)
	return err == nil && beginsWithText(page), err
}

// beginsWithText says whether there is a text in what comes behind their directory.
func beginsWithText(page []Named) bool {
	return len(page) > 0 && strings.HasPrefix(page[0].Key, TextDirectory)
}
