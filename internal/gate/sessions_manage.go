package gate

import (
	"context"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Sessions returns the remembered logins of a person that still let somebody
// in, each with the time until which it does. Whoever shows them leaves out Of
// and Code.
func (g *Gate) Sessions(ctx context.Context, user string) ([]ledger.Session, error) {
	person, err := g.Accounts.Load(user)
	if err != nil {
		return nil, err
	}
	entry, err := g.Ledger.View(ctx, ledger.Key{Kind: ledger.User, Name: user})
	if err != nil {
		return nil, blame{"ledger", err}
	}
	var counting []ledger.Session
	for _, s := range entry.Sessions {
		if until, counts := g.sessionUntil(person, s); counts {
			s.Until = until
			counting = append(counting, s)
		}
	}
	return counting, nil
}

// sessionUntil says whether a login like the one that opened s is let in, and
// until when it would be.
func (g *Gate) sessionUntil(person account.Person, s ledger.Session) (time.Time, bool) {
	request := Request{User: person.User, Protocol: config.Protocol(s.Protocol), RemoteHost: s.Address}
	if _, counts := g.session(request, person, ledger.Entry{Sessions: []ledger.Session{s}}); !counts {
		return time.Time{}, false
	}
	if _, _, span := g.sessionPlace(request); s.Since.Add(span).Before(s.Until) {
		return s.Since.Add(span), true
	}
	return s.Until, true
}

// ExpireSessions ends those of the person's sessions that match, and returns
// how many. Sessions that were over anyhow are not counted. Somebody whose
// secret file cannot be read loses them as well.
func (g *Gate) ExpireSessions(ctx context.Context, user string, match func(ledger.Session) bool) (int, error) {
	if err := account.CheckName(user); err != nil {
		return 0, blame{"user-name", err}
	}
	person, unknown := g.Accounts.Load(user)
	ended := 0
	err := g.Ledger.Update(ctx, ledger.Key{Kind: ledger.User, Name: user}, func(entry *ledger.Entry) error {
		ended = 0 // the store may call this again
		entry.Sessions = slices.DeleteFunc(entry.Sessions, func(s ledger.Session) bool {
			if !match(s) {
				return false
			}
			if _, counts := g.sessionUntil(person, s); counts || unknown != nil {
				ended++
			}
			return true
		})
		return nil
	})
	if err != nil {
		return 0, blame{"ledger", err}
	}
	return ended, nil
}
