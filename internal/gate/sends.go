package gate

import (
	"context"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// sendingHour is the time that sent.per_hour is for.
const sendingHour = time.Hour

// SentLately says how many codes that were sent count against what a person may
// be sent in an hour (sent.per_hour), and until when no further one is sent: the
// zero time if one would be now.
func (g *Gate) SentLately(entry ledger.Entry) (count int, until time.Time) {
	return g.sentLately(entry, g.Config.Sent.PerHour)
}

func (g *Gate) sentLately(entry ledger.Entry, limit int) (count int, until time.Time) {
	each := sendingHour / time.Duration(limit)
	sends := g.counts(entry).Sends
	count = sends.Count
	switch since := g.Now().Sub(sends.Last); {
	case since > 0:
		count -= min(count, int(since/each))
	case since < -sendingHour:
		// From a clock that was wrong: they were not sent in this hour.
		count = 0
	}
	if count >= limit {
		until = sends.Last.Add(each)
	}
	return count, until
}

// countSend counts a code before it is sent, so that nobody can have one
// person sent any number of them, and marks it as sent in the same write. until
// is set if it must not be sent yet.
func (g *Gate) countSend(ctx context.Context, person account.Person, code string) (until time.Time, err error) {
	err = g.Ledger.Update(ctx, ledger.UserKey(person.User), func(entry *ledger.Entry) error {
		var count int
		if count, until = g.SentLately(*entry); until.IsZero() {
			g.countSent(entry, count)
			factor.MarkSent(person.User, factor.By(g.Peer), code, g.Now(), entry)
		}
		return nil
	})
	return until, err
}

// LinksPerHour is how many links to self-service one person is mailed in an hour. Each is
// good for an hour, so one is enough, and more are for mails that go astray: strangers can
// have that many mailed to every name, in each hour, and mail servers have a limit a day.
const LinksPerHour = 3

// linksPeer is whose sends those links are in an entry: apart from codes, so that neither
// uses up the other.
const linksPeer = "self-service"

// CountLink counts a link to self-service before it is mailed, of limit in an hour. until is
// set if it must not be mailed yet.
func (g *Gate) CountLink(ctx context.Context, user string, limit int) (until time.Time, err error) {
	own := *g
	own.Peer = linksPeer
	err = g.Ledger.Update(ctx, ledger.UserKey(user), func(entry *ledger.Entry) error {
		var count int
		if count, until = own.sentLately(*entry, limit); until.IsZero() {
			own.countSent(entry, count)
		}
		return nil
	})
	return until, err
}

// UncountLink takes back what CountLink counted of a link that is not mailed: whoever has
// one lost takes none from the person.
func (g *Gate) UncountLink(ctx context.Context, user string) error {
	return g.Ledger.Update(ctx, ledger.UserKey(user), func(entry *ledger.Entry) error {
		if counts := entry.Peers[linksPeer]; counts.Sends.Count > 0 {
			counts.Sends.Count--
			entry.Peers[linksPeer] = counts
		}
		return nil
	})
}

// FailedLinksPerHour is how many links to one person whose mail failed count as none in an
// hour. Those beyond it count as any, so that nobody has a mail server asked without end.
const FailedLinksPerHour = 10

// failedLinksPeer is whose sends those are.
const failedLinksPeer = "self-service, mails that failed"

// UncountFailedLink is UncountLink for a link that nobody has, as its mail failed.
func (g *Gate) UncountFailedLink(ctx context.Context, user string) error {
	own := *g
	own.Peer = failedLinksPeer
	return g.Ledger.Update(ctx, ledger.UserKey(user), func(entry *ledger.Entry) error {
		count, until := own.sentLately(*entry, FailedLinksPerHour)
		if links := entry.Peers[linksPeer]; until.IsZero() && links.Sends.Count > 0 {
			links.Sends.Count--
			entry.Peers[linksPeer] = links
			own.countSent(entry, count)
		}
		return nil
	})
}

// countSent counts one more than count.
func (g *Gate) countSent(entry *ledger.Entry, count int) {
	counts := g.counts(*entry)
	counts.Sends = ledger.Sends{Count: count + 1, Last: g.Now().UTC().Truncate(time.Second)}
	g.setCounts(entry, counts)
}

// countClientSend counts a code before it is sent on a client, to whomever, so that
// one that was taken over has no message sent to everybody. It comes before
// countSend: what the client may not have sent any more costs the person nothing, and
// what the person may not be sent costs the client nothing.
func (g *Gate) countClientSend(ctx context.Context, person account.Person) (until time.Time, err error) {
	if g.Client == "" {
		return time.Time{}, nil
	}
	entry, err := g.Ledger.View(ctx, ledger.UserKey(person.User))
	if err != nil {
		return time.Time{}, err
	}
	if _, personUntil := g.SentLately(entry); !personUntil.IsZero() {
		return time.Time{}, nil
	}
	return g.CountClientSend(ctx)
}

// CountClientSend is the client's part of that. until is set if it must not have anything
// sent yet.
func (g *Gate) CountClientSend(ctx context.Context) (until time.Time, err error) {
	if g.Client == "" {
		return time.Time{}, nil
	}
	err = g.Ledger.Update(ctx, ClientKey(g.Client), func(entry *ledger.Entry) error {
		var count int
		if count, until = g.sentLately(*entry, max(1, g.ClientSends)); until.IsZero() {
			g.countSent(entry, count)
		}
		return nil
	})
	return until, err
}
