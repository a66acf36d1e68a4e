package ledgermove

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// takeAll takes all entries, and returns the names of the records that there are.
//
// A record that is replaced by a larger one while its directory is listed may be missing
// in the list. Nobody can change a record once the move is begun but who has its lock by
// then, and that one once. So of two lists after each other each record is in one, and if
// nothing was left to take of the later one, nothing is left at all.
func (r *run) takeAll(ctx context.Context) (there map[string]bool, err error) {
	for pass := 1; ; pass++ {
		records, err := r.files.Records()
		if err != nil {
			return nil, err
		}
		there = make(map[string]bool, len(records))
		for _, record := range records {
			there[record.String()] = true
		}
		step := func() {}
		if pass == 1 {
			step = r.Progress("moved", len(records))
		}
		r.result.Entries = len(records)
		taken := 0
		err = r.each(ctx, records, step, func(ctx context.Context, record ledger.Record) error {
			if pass > 1 && record.Stays() {
				return nil
			}
			one, err := r.take(ctx, record, pass)
			if err != nil {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			taken += one
			return nil
		})
		if err != nil {
			return nil, err
		}
		if pass > 1 && taken == 0 {
			return there, nil
		}
	}
}

// take has an entry taken over for good: it counts here no more. It returns 1 if it counted
// until then.
func (r *run) take(ctx context.Context, record ledger.Record, pass int) (taken int, err error) {
	copied, stored := false, false
	err = r.files.Take(ctx, record, func(payload []byte) error {
		copied = true
		if _, err := ledger.Decode(payload); err != nil {
			return inFiles(err)
		}
		// Whose it is need not be known of one that was taken before.
		key, err := r.key(record)
		if err != nil {
			return err
		}
		stored, err = r.To.Receive(ctx, key, payload, r.files.Origin())
		if errors.Is(err, casledger.ErrDiffers) && record.Stays() {
			err = nil
		}
		r.reached("copied")
		return inShared(err)
	})
	if !copied {
		err = inFiles(err)
	}
	_, ok := errors.AsType[problem](err)
	noted := ok && record.Stays()
	if err != nil && !noted {
		return 0, fmt.Errorf("%s: %w", record, err)
	}
	r.reached("taken")
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case noted:
		r.result.Notes = append(r.result.Notes, fmt.Sprintf("%s: not moved: %v", record, err))
	case stored:
		r.result.Copied++
	case !copied && pass == 1:
		r.result.Before++
	}
	if copied {
		taken = 1
	}
	return taken, nil
}

// empty has what was copied by a move that was taken back, and that the files know no more
// since, known no more in the other ledger either.
func (r *run) empty(ctx context.Context, there map[string]bool) error {
	return r.To.Received(ctx, r.files.Origin(), func(key ledger.Key) error {
		if there[ledger.RecordName(key)] {
			return nil
		}
		_, err := r.To.Receive(ctx, key, nil, r.files.Origin())
		return err
	})
}

// atOnce is how many entries are on their way at a time.
const atOnce = 16

// each does something with entries, until one fails.
func (r *run) each(ctx context.Context, records []ledger.Record, step func(), do func(ctx context.Context, record ledger.Record) error) error {
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
