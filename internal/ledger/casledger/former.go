package casledger

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"

	"github.com/otpgate/otpgate/internal/ledger"
)

// former is the ledger that a machine had before.
type former struct {
	moved ledger.MovedError
	known atomic.Bool
}

// After has the store be used only where it is known that the ledger in files in dir was
// moved here, if that was moved. Any other one knows nothing of what was used. It is looked
// up once, at the first use.
func (s *Store) After(dir string) error {
	moved, found, err := ledger.ReadMoved(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if found && moved.Done {
		s.former = &former{moved: ledger.MovedError{Dir: dir, Moved: moved}}
	}
	return nil
}

// CheckFormer fails with a [ledger.ForgottenError] if that is not known here.
func (s *Store) CheckFormer(ctx context.Context) error {
	if s.former == nil || s.former.known.Load() {
		return nil
	}
	switch ended, err := s.Ended(ctx, s.former.moved.From); {
	case err != nil:
		return err
	case !ended:
		return ledger.ForgottenError{MovedError: s.former.moved}
	}
	s.former.known.Store(true)
	return nil
}
