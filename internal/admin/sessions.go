package admin

import (
	"context"
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Sessions returns the remembered logins of a person that still let somebody
// in, each with the time until which it does. Whoever shows them leaves out Of
// and Code.
func (g People) Sessions(ctx context.Context, user string) ([]ledger.Session, error) {
	person, err := g.Accounts.Load(user)
	if err != nil {
		return nil, err
	}
	entry, err := g.Ledger.View(ctx, ledger.UserKey(user))
	if err != nil {
		return nil, err
	}
	var counting []ledger.Session
	for _, s := range entry.Sessions {
		if until, counts := g.SessionUntil(person, s); counts {
			s.Until = until
			counting = append(counting, s)
		}
	}
	return counting, nil
}

// ExpireSessions ends those of the person's sessions that match, and returns
// how many. Sessions that were over anyhow are not counted. Somebody whose
// secret file cannot be read loses them as well.
func (g People) ExpireSessions(ctx context.Context, user string, match func(ledger.Session) bool) (int, error) {
	if err := account.CheckName(user); err != nil {
		return 0, err
	}
	person, unknown := g.Accounts.Load(user)
	ended := 0
	err := g.Ledger.Update(ctx, ledger.UserKey(user), func(entry *ledger.Entry) error {
		ended = 0 // the store may call this again
		entry.Sessions = slices.DeleteFunc(entry.Sessions, func(s ledger.Session) bool {
			if !match(s) {
				return false
			}
			if _, counts := g.SessionUntil(person, s); counts || unknown != nil {
				ended++
			}
			return true
		})
		return nil
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}
