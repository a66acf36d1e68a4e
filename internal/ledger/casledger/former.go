package casledger

import (
	"context"
	"errors"
	"io/fs"

	"github.com/otpgate/otpgate/internal/ledger"
)

// After has the store be used only where it is known that the ledger in files in dir was
// moved here, if that was moved. Any other one knows nothing of what was used.
//
// Both are looked up whenever an entry is. A program that goes on running would else take
// for known what was so of another etcd: of the one before a copy of it was restored, or
// before otpgate-ledgerd was started again for another one.
func (s *Store) After(dir string) { s.former = dir }

// CheckFormer fails with a [ledger.ForgottenError] if that is not known here, and with a
// [ledger.MovedError] as long as the move is not done.
func (s *Store) CheckFormer(ctx context.Context) error {
	moved, err := s.movedHere()
	if err != nil || moved == nil {
		return err
	}
	return s.knows(ctx, *moved)
}

// movedHere is the ledger in files that was moved here, nil if there was none.
func (s *Store) movedHere() (*ledger.MovedError, error) {
	if s.former == "" {
		return nil, nil
	}
	moved, found, err := ledger.ReadMoved(s.former)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil // there is not even the directory
	case err != nil || !found:
		return nil, err
	}
	was := &ledger.MovedError{Dir: s.former, Moved: moved}
	if !moved.Done {
		return nil, *was
	}
	return was, nil
}

func (s *Store) knows(ctx context.Context, moved ledger.MovedError) error {
	ended, err := s.Ended(ctx, moved.From)
	if err == nil && !ended {
		err = ledger.ForgottenError{MovedError: moved}
	}
	return err
}

// getAfter is get, with CheckFormer. The service is asked both at the same time.
func (s *Store) getAfter(ctx context.Context, name string) (Register, error) {
	moved, err := s.movedHere()
	switch {
	case err != nil:
		return Register{}, err
	case moved == nil:
		return s.get(ctx, name)
	}
	known := s.knowsAhead(ctx, *moved)
	now, err := s.get(ctx, name)
	if unknown := <-known; unknown != nil {
		return Register{}, unknown
	}
	return now, err
}
