package ledgermove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Problems are entries that cannot be moved, and why.
type Problems []string

// shownProblems are enough to see what they are about.
const shownProblems = 20

func (p Problems) Error() string {
	shown := slices.Sorted(slices.Values(p))
	more := ""
	if left := len(shown) - shownProblems; left > 0 {
		shown, more = shown[:shownProblems], fmt.Sprintf("\n  and %d more", left)
	}
	what := "1 entry cannot be moved"
	if len(p) != 1 {
		what = fmt.Sprintf("%d entries cannot be moved", len(p))
	}
	return what + ":\n  " + strings.Join(shown, "\n  ") + more
}

// problem is an error because of which one entry cannot be moved: what is wrong, on which
// side, and what to do.
type problem struct {
	error
	advice string
}

func (p problem) Error() string {
	if p.advice == "" {
		return p.error.Error() // which has it
	}
	return p.error.Error() + "; " + p.advice
}

func (p problem) Unwrap() error { return p.error }

var (
	errMarked  = errors.New("this file is of an entry that was moved before, and the file moved beside its directory, which says where to, is gone")
	errDiffers = errors.New("the ledger to move to has another entry of that name")
)

// compare reads both sides of everything, and changes nothing.
func (r *run) compare(ctx context.Context) error {
	records, err := r.files.Records()
	if err != nil {
		return err
	}
	err = r.each(ctx, records, r.Progress("compared", len(records)), func(ctx context.Context, record ledger.Record) error {
		err := r.compareOne(ctx, record)
		if of, ok := errors.AsType[problem](err); ok && !record.Stays() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.problems = append(r.problems, fmt.Sprintf("%s: %v", record, of))
			return nil
		} else if ok {
			return nil // that is noted when it would be taken
		}
		return err
	})
	if err == nil && len(r.problems) > 0 {
		return r.problems
	}
	return err
}

func (r *run) compareOne(ctx context.Context, record ledger.Record) error {
	payload, moved, err := r.files.Read(ctx, record)
	switch {
	case err != nil:
		if err = inFiles(err); !errors.As(err, new(problem)) {
			err = fmt.Errorf("%s: %w", record, err)
		}
		return err
	case moved && payload != nil && !r.begun && !r.ended:
		return problem{errMarked, "have that one back from a copy"}
	case moved:
		return nil
	case r.ended && len(payload) > 0 && !record.Stays():
		// All were marked before the other ledger was told that this one has ended.
		return OlderError{r.Dir, r.to}
	}
	key, err := r.key(record)
	if err != nil {
		return err
	}
	standing, err := r.To.Standing(ctx, key, payload, r.files.Origin())
	if err == nil && standing == casledger.Differs && !record.Stays() {
		err = problem{errDiffers, "take this file away if that one is to count"}
	}
	return inShared(err)
}

// inFiles says what to do about a record that cannot be read.
func inFiles(err error) error {
	switch {
	case errors.Is(err, ledger.ErrDamaged):
		return problem{err, "have this file back from a copy, or take it away; what it knew to be used is then good again"}
	case errors.Is(err, safefile.ErrUnsafe):
		return problem{err, "mend that of this file"}
	}
	return err
}

// inShared says what to do about an entry that the other ledger cannot give.
func inShared(err error) error {
	if errors.Is(err, ledger.ErrDamaged) {
		return problem{fmt.Errorf("in the ledger to move to: %w", err), "take it away there; otpctl ledger check names all such entries"}
	}
	return err
}

// key is the key of a record.
func (r *run) key(record ledger.Record) (ledger.Key, error) {
	key, err := record.Key(r.Names)
	if err != nil {
		return key, problem{error: fmt.Errorf("whose entry this is, is not known: %w", err)}
	}
	return key, nil
}
