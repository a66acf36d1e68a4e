package casledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/ledger"
)

// idName is the register with the ledger's id, beside those of keys.
const idName = "id"

// ID implements [ledger.Identified]. The id is drawn by whoever asks first.
func (s *Store) ID(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.All)
	defer cancel()
	if err := s.CheckFormer(ctx); err != nil {
		return "", fmt.Errorf("id of the ledger: %w", err)
	}
	now, err := s.get(ctx, idName)
	for drawn := ledger.NewID(); err == nil && now.Revision == 0; {
		// Whether this or another one's was stored, the next look tells.
		try, cancelTry := context.WithTimeout(ctx, s.limits.Try)
		_, _, err = s.registers.Swap(try, idName, 0, []byte(drawn), 0)
		cancelTry()
		if err == nil || errors.Is(err, ErrUnavailable) {
			now, err = s.get(ctx, idName)
		}
	}
	id := string(now.Value)
	if err == nil && !ledger.ValidID(id) {
		err = fmt.Errorf("%w: register %q: %s", ledger.ErrDamaged, idName, ledger.IDForm)
	}
	if err != nil {
		return "", fmt.Errorf("id of the ledger: %w", withContext(ctx, outOfReach(err)))
	}
	return id, nil
}
