package selfservice

import (
	"context"

	"github.com/otpgate/otpgate/internal/ledger"
)

// EndSession ends one remembered login, or with all every one.
func (s Service) EndSession(ctx context.Context, browser BrowserSession, id string, all bool) error {
	v, err := s.open(ctx, browser)
	if err != nil {
		return err
	}
	ended, err := s.endSessions(ctx, v.person.User, func(session ledger.Session) bool { return all || sessionID(session) == id })
	switch {
	case err != nil:
		return err
	case ended == 0 && !all:
		return ErrNotFound
	case ended > 0:
		v.changed(counted("ended", ended))
	}
	return nil
}

func (s Service) endSessions(ctx context.Context, user string, match func(ledger.Session) bool) (int, error) {
	return s.People.ExpireSessions(ctx, user, match)
}
