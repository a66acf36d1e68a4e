package serve

import (
	"context"
	"errors"

	"github.com/otpgate/otpgate/internal/ledger"
)

// noLedger is a ledger that must not be needed.
type noLedger struct{}

var errNoLedger = errors.New("no ledger here")

func (noLedger) View(context.Context, ledger.Key) (ledger.Entry, error) {
	return ledger.Entry{}, errNoLedger
}
func (noLedger) Update(context.Context, ledger.Key, func(*ledger.Entry) error) error {
	return errNoLedger
}
func (noLedger) Close() error { return nil }

// empty is a ledger that nothing is in yet.
type empty struct{ noLedger }

func (empty) View(context.Context, ledger.Key) (ledger.Entry, error) { return ledger.Entry{}, nil }
