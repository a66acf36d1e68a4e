package gate

import (
	"context"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// SentLately says how many codes that were sent count against what a person may
// be sent in an hour (sent.per_hour), and until when no further one is sent: the
// zero time if one would be now.
func (g *Gate) SentLately(entry ledger.Entry) (count int, until time.Time) {
	limit := g.Config.Sent.PerHour
	each := sendingHour / time.Duration(limit)
	count = entry.Sends.Count
	switch since := g.Now().Sub(entry.Sends.Last); {
	case since > 0:
		count -= min(count, int(since/each))
	case since < -sendingHour:
		// From a clock that was wrong: they were not sent in this hour.
		count = 0
	}
	if count >= limit {
		until = entry.Sends.Last.Add(each)
	}
	return count, until
}

// Forgotten is what Unlock took away.
type Forgotten struct {
	Attempts ledger.Attempts
	Sent     int // how many codes that were sent counted
}

// Unlock forgets the person's wrong codes and how many codes were sent, and
// returns them.
func (g *Gate) Unlock(ctx context.Context, user string) (was Forgotten, err error) {
	if err := account.CheckName(user); err != nil {
		return Forgotten{}, blame{"user-name", err}
	}
	err = g.Ledger.Update(ctx, ledger.Key{Kind: ledger.User, Name: user}, func(entry *ledger.Entry) error {
		was.Attempts = entry.Attempts
		was.Sent, _ = g.SentLately(*entry)
		entry.Attempts, entry.Sends = ledger.Attempts{}, ledger.Sends{}
		return nil
	})
	return was, err
}
