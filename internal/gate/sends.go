package gate

import (
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// sendingHour is the time that sent.per_hour is for.
const sendingHour = time.Hour

// SentLately says how many codes that were sent count against what a person may
// be sent in an hour (sent.per_hour), and until when no further one is sent: the
// zero time if one would be now.
func (g *Gate) SentLately(entry ledger.Entry) (count int, until time.Time) {
	limit := g.Config.Sent.PerHour
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
