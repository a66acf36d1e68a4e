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
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
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
	// Notes are entries that were left as they are, and why. None of them counts for whose
	// code is good.
	Notes []string
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
	r.to, r.begun = to, begun
	if r.ended, err = m.To.Ended(ctx, r.files.ID()); err != nil {
		return Result{}, err
	}
	switch {
	case before.Done && !r.ended:
		return Result{}, ledger.ForgottenError{MovedError: ledger.MovedError{Dir: m.Dir, Moved: before}}
	case before.Done:
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
	return r.goOn(ctx)
}

// goOn does what is left of a move that was begun.
func (r *run) goOn(ctx context.Context) (Result, error) {
	there, err := r.takeAll(ctx)
	if err != nil {
		return Result{}, err
	}
	r.reached("all taken")
	if !r.ended {
		err = r.end(ctx, there)
	}
	if err != nil {
		return Result{}, err
	}
	r.reached("ended")
	if err := r.files.Finish(); err != nil {
		return Result{}, err
	}
	r.reached("done")
	r.result.Moved, _ = r.files.State()
	slices.Sort(r.result.Notes)
	return r.result, nil
}

// end says in the other ledger that it has everything. there are the records that there
// are in files.
func (r *run) end(ctx context.Context, there map[string]bool) error {
	if err := r.empty(ctx, there); err != nil {
		return err
	}
	return r.To.End(ctx, r.files.ID(), r.files.Origin())
}

// OlderError is about a ledger in files that the other ledger says was moved there before.
type OlderError struct {
	Dir string
	To  ledger.Moved
}

func (e OlderError) Error() string {
	return fmt.Sprintf("this ledger was moved to %s, %s, before: what lies in %s is an older copy of it, in which used codes are good. "+
		"Nothing of it is moved. Take users, clients, links and invited in %s away; what they knew is there. Then run this again. "+
		"If it is no copy, as that move was taken back at its very end, let [ledger] have another prefix", e.To.To, e.To.Prefix, e.Dir, e.Dir)
}

// run is one run of a move.
type run struct {
	Move
	files *ledger.Move
	to    ledger.Moved
	// begun says that an earlier run began the move, and ended that the other ledger says
	// that all is there. Then there must not be more: what is there was marked before.
	begun, ended bool

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

// Undone is a move that was taken back.
type Undone struct {
	ledger.Moved
	Entries int
	// Damaged are entries that could not be read, and so stay as they are.
	Damaged Problems
}

// EndedError is about a move that cannot be taken back, as the other ledger says that it
// has everything: others may have used it since.
type EndedError struct{ ledger.MovedError }

func (e EndedError) Error() string {
	return fmt.Sprintf("all that the ledger in %s knows is in %s, %s, and counts there: it cannot be taken back. otpctl ledger move --to %s notes that here", e.Dir, e.To, e.Prefix, e.To)
}

// Undo takes a move back that is not done. It needs the files alone, but asks the other
// ledger, if that is known and can be asked, whether it has everything: the files may be a
// copy from the middle of a move that went on.
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
	if err := r.notEnded(ctx, moved); err != nil {
		return Undone{}, err
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

// notEnded fails if the other ledger says that it has all of a move that was begun.
func (r *run) notEnded(ctx context.Context, moved ledger.Moved) error {
	if r.To == nil {
		return nil
	}
	if ended, err := r.To.Ended(ctx, r.files.ID()); err != nil || !ended {
		return nil // an admin must not be kept out by what cannot be asked
	}
	return EndedError{ledger.MovedError{Dir: r.Dir, Moved: moved}}
}
