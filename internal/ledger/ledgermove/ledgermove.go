// Package ledgermove moves what a ledger in files knows to a ledger that servers share.
//
// The entry points are [Move.Run] and [Move.Undo]. The package promises that an entry
// counts in one of the two at most, wherever a move is broken off, and whatever programs
// run meanwhile; that it replaces nothing in the shared ledger that anybody has stored
// there; and that it begins nothing before it has read both sides of everything. A move
// that was broken off goes on when it is run again, or is taken back.
package ledgermove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Move is from where to where.
type Move struct {
	// Dir has the ledger in files.
	Dir string
	// To is the other ledger. Kind says what it is in, and Prefix where in that.
	To           *casledger.Store
	Kind, Prefix string
	// Names are the people there are: a name that is too long for a file is in no file.
	Names func() ([]string, error)
	Now   func() time.Time
	// Progress is told what begins, and of how many entries, and gives what is called
	// after each of them.
	Progress func(what string, total int) (step func())

	// at is called at each step. Tests kill there.
	at func(step string)
}

// Result is what was done.
type Result struct {
	ledger.Moved
	// Entries are all that there were, Copied those that this run has stored, and Before
	// those that an earlier one had moved. The others were there already.
	Entries, Copied, Before int
	// Already says that there was nothing to do: the move was done before.
	Already bool
}

// Run moves the ledger, or goes on with a move that was broken off.
func (m Move) Run(ctx context.Context) (Result, error) {
	r, err := m.open(ctx)
	if err != nil {
		return Result{}, err
	}
	defer r.files.Close()
	id, err := m.To.TryWrite(ctx)
	if err != nil {
		return Result{}, err
	}
	to := ledger.Moved{To: m.Kind, Prefix: m.Prefix, ID: id, Begun: m.Now()}
	before, begun := r.files.State()
	if begun && (before.To != to.To || before.Prefix != to.Prefix || before.ID != to.ID) {
		return Result{}, fmt.Errorf("%w; [ledger] leads to %s, with the id %s: put it back as it was then", ledger.MovedError{Dir: m.Dir, Moved: before}, to.Prefix, to.ID)
	}
	if begun && before.Done {
		return Result{Moved: before, Already: true}, nil
	}
	if err := r.compare(ctx); err != nil {
		return Result{}, err
	}
	r.reached("compared")
	if !begun {
		if err := r.files.Begin(to); err != nil {
			return Result{}, err
		}
	}
	r.reached("begun")
	if err := r.take(ctx); err != nil {
		return Result{}, err
	}
	r.reached("all taken")
	if err := r.files.Finish(); err != nil {
		return Result{}, err
	}
	r.reached("done")
	r.result.Moved, _ = r.files.State()
	return r.result, nil
}

// run is one run of a move.
type run struct {
	Move
	files *ledger.Move

	mu       sync.Mutex // what follows is of several at once
	result   Result
	problems Problems
}

func (m Move) open(ctx context.Context) (*run, error) {
	files, err := ledger.OpenMove(ctx, m.Dir)
	if err != nil {
		return nil, err
	}
	return &run{Move: m, files: files}, nil
}

func (r *run) reached(step string) {
	if r.at != nil {
		r.at(step)
	}
}

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

var errDiffers = errors.New("the ledger to move to has another entry of that name; take this file away if that one is to count")

// compare reads both sides of everything, and changes nothing.
func (r *run) compare(ctx context.Context) error {
	err := r.each(ctx, "compared", func(ctx context.Context, record ledger.Record) error {
		err := r.compareOne(ctx, record)
		if errors.Is(err, errDiffers) || errors.Is(err, ledger.ErrDamaged) || errors.Is(err, safefile.ErrUnsafe) || errors.Is(err, errName) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.problems = append(r.problems, fmt.Sprintf("%s: %v", record, err))
			return nil
		}
		return err
	})
	if err == nil && len(r.problems) > 0 {
		return r.problems
	}
	return err
}

// errName is about a file of which it is not known whose entry it is.
var errName = errors.New("whose entry this is, is not known")

func (r *run) compareOne(ctx context.Context, record ledger.Record) error {
	payload, moved, err := r.files.Read(ctx, record)
	if err != nil || moved {
		return err
	}
	key, err := record.Key(r.Names)
	if err != nil {
		return fmt.Errorf("%w: %w", errName, err)
	}
	standing, err := r.To.Standing(ctx, key, payload, r.files.ID())
	if err == nil && standing == casledger.Differs && !stays(key) {
		err = errDiffers
	}
	return err
}

// stays says of which keys each machine goes on having its own entry: where wrong codes
// came from. What the shared ledger knows of an address is newer.
func stays(key ledger.Key) bool { return key.Kind == ledger.Source }

// take has the entries taken over, each of them for good: it counts here no more.
func (r *run) take(ctx context.Context) error {
	return r.each(ctx, "moved", func(ctx context.Context, record ledger.Record) error {
		copied, stored := false, false
		key, err := record.Key(r.Names)
		if err == nil {
			err = r.files.Take(ctx, record, func(payload []byte) (err error) {
				copied = true
				stored, err = r.To.Receive(ctx, key, payload, r.files.ID())
				if errors.Is(err, casledger.ErrDiffers) && stays(key) {
					err = nil
				}
				r.reached("copied")
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", record, err)
		}
		r.reached("taken")
		r.mu.Lock()
		defer r.mu.Unlock()
		r.result.Entries++
		if stored {
			r.result.Copied++
		}
		if !copied {
			r.result.Before++
		}
		return nil
	})
}

// atOnce is how many entries are on their way at a time.
const atOnce = 16

// each does something with all entries, until one fails.
func (r *run) each(ctx context.Context, what string, do func(ctx context.Context, record ledger.Record) error) error {
	records, err := r.files.Records()
	if err != nil {
		return err
	}
	step := r.Progress(what, len(records))
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan ledger.Record)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for record := range work {
				if err := do(ctx, record); err != nil {
					stop(err)
				}
				r.mu.Lock()
				step()
				r.mu.Unlock()
			}
		})
	}
	for _, record := range records {
		if ctx.Err() != nil {
			break
		}
		work <- record
	}
	close(work)
	all.Wait()
	return context.Cause(ctx)
}

// Undone is a move that was taken back.
type Undone struct {
	ledger.Moved
	Entries int
	// Damaged are entries that could not be read, and so stay as they are.
	Damaged Problems
}

// Undo takes a move back that is not done. It needs the files alone.
func (m Move) Undo(ctx context.Context) (done Undone, err error) {
	r, err := m.open(ctx)
	if err != nil {
		return Undone{}, err
	}
	defer r.files.Close()
	moved, begun := r.files.State()
	switch {
	case !begun:
		return Undone{}, fmt.Errorf("no move of the ledger in %s is under way", m.Dir)
	case moved.Done:
		return Undone{}, fmt.Errorf("%w. It cannot be taken back: what was used since is known there alone", ledger.MovedError{Dir: m.Dir, Moved: moved})
	}
	done.Moved = moved
	err = r.files.Undo(ctx, func(record ledger.Record, err error) {
		done.Entries++
		if err != nil {
			done.Damaged = append(done.Damaged, fmt.Sprintf("%s: %v", record, err))
		}
		r.reached("undone")
	})
	return done, err
}
