package gatetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/ledger"
)

// FailingLedger is a ledger on a full disk.
type FailingLedger struct{}

// View implements ledger.Store.
func (FailingLedger) View(context.Context, ledger.Key) (ledger.Entry, error) {
	return ledger.Entry{}, nil
}

// Update implements ledger.Store.
func (FailingLedger) Update(_ context.Context, _ ledger.Key, change func(*ledger.Entry) error) error {
	var entry ledger.Entry
	if err := change(&entry); err != nil {
		return err
	}
	return errors.New("no space left on device")
}

// Close implements ledger.Store.
func (FailingLedger) Close() error { return nil }

// Sender keeps what it is given to send.
type Sender struct {
	Messages []deliver.Message
	Fails    error
	// Fallback says why it takes the other channel.
	Fallback string
	mu       sync.Mutex
}

// Send implements deliver.Sender.
func (s *Sender) Send(_ context.Context, m deliver.Message) (deliver.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fails != nil {
		return deliver.Delivery{}, s.Fails
	}
	s.Messages = append(s.Messages, m)
	if s.Fallback != "" {
		return deliver.Delivery{Channel: deliver.Email, To: "a…e@example.com", Failed: s.Fallback}, nil
	}
	return deliver.Delivery{Channel: m.Channel, To: "somewhere"}, nil
}

// Last is the code that was sent last.
func (s *Sender) Last() string { return s.Messages[len(s.Messages)-1].Code }

// NeverSent is a code that was not sent so far.
func (s *Sender) NeverSent() string {
	var codes []string
	for _, m := range s.Messages {
		codes = append(codes, m.Code)
	}
	return Other(codes...)
}

// Other is a code of six digits that is none of those.
func Other(codes ...string) string {
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !slices.Contains(codes, code) {
			return code
		}
	}
}
