package remotelogin

import (
	"context"
	"fmt"

	"github.com/otpgate/otpgate/internal/remotewire"
)

// sameLedger refuses a login if another server had another ledger when it was last
// asked, and still has: a code that was used there would be good here.
func (s *Servers) sameLedger(ctx context.Context, take remotewire.Take, taken *Taken) error {
	for _, other := range s.different(taken) {
		// It may have been mended since.
		if again, err := s.ask(ctx, other, take); err == nil {
			s.learn(other, again.ledger)
			again.Drop()
		}
	}
	if differ := s.different(taken); len(differ) > 0 {
		return fmt.Errorf("%w: %s has %s, %s has %s; have both use one, or take one out of [remote]",
			errLedgers, taken.Server, taken.ledger, s.nameOf(differ[0]), s.ledgerOf(differ[0]))
	}
	return nil
}

// different are the other servers whose ledger is not the one of the server that took
// the login, as far as is known.
func (s *Servers) different(taken *Taken) (differ []*server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken.server.ledger = taken.ledger
	for _, other := range s.all {
		if other.ledger != "" && other.ledger != taken.ledger {
			differ = append(differ, other)
		}
	}
	return differ
}

func (s *Servers) learn(server *server, ledger string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	server.ledger = ledger
}

func (s *Servers) ledgerOf(server *server) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return server.ledger
}
