package gate

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// maxLock bounds how long wrong codes lock somebody out. It is also how long
// it takes until wrong codes without a lock are forgotten.
const maxLock = 24 * time.Hour

// lockedError is what a change of the ledger ends with when the key is locked.
type lockedError struct{ until time.Time }

func (l lockedError) Error() string { return "locked until " + l.until.UTC().Format(time.RFC3339) }

// locked returns until when attempts are locked, the zero time if they are not.
func locked(attempts ledger.Attempts, now time.Time) time.Time {
	if now.Before(attempts.LockedUntil) {
		return attempts.LockedUntil
	}
	return time.Time{}
}

// countWrong counts one wrong code. Every limit-th locks, the first time for
// window and each further time for twice as long. Waiting a lock out therefore
// buys ever fewer guesses: about limit a day in the end.
func countWrong(attempts *ledger.Attempts, limit int, window config.Duration, now time.Time) {
	if now.Sub(attempts.LastWrong) > maxLock {
		attempts.Wrong = 0
	}
	attempts.Wrong++
	attempts.LastWrong = now.UTC().Truncate(time.Second)
	if attempts.Wrong%limit != 0 {
		return
	}
	lock := time.Duration(window)
	for range attempts.Wrong/limit - 1 {
		if lock = 2 * lock; lock >= maxLock {
			lock = maxLock
			break
		}
	}
	attempts.LockedUntil = now.Add(lock).UTC().Truncate(time.Second)
}

func userKey(person account.Person) ledger.Key {
	return ledger.Key{Kind: ledger.User, Name: person.User}
}

// sourceKey names where a login comes from: an IPv4 address, or the /64 of an
// IPv6 one, as everybody has all of that. A local login has none.
func sourceKey(request Request) (ledger.Key, bool) {
	name := request.RemoteHost
	if addr, err := netip.ParseAddr(name); err == nil {
		addr = addr.Unmap().WithZone("")
		name = addr.String()
		if addr.Is6() {
			name = netip.PrefixFrom(addr, 64).Masked().String()
		}
	}
	if name == "" || len(name) > 255 {
		return ledger.Key{}, false
	}
	return ledger.Key{Kind: ledger.Source, Name: name}, true
}

// lockedUntil returns until when the person or the source is locked.
func (g *Gate) lockedUntil(ctx context.Context, request Request, person account.Person) (time.Time, error) {
	now := g.Now()
	keys := []ledger.Key{userKey(person)}
	if source, found := sourceKey(request); found {
		keys = append(keys, source)
	}
	for _, key := range keys {
		entry, err := g.Ledger.View(ctx, key)
		if err != nil {
			return time.Time{}, blame{"ledger", fmt.Errorf("count attempts: %w", err)}
		}
		if until := locked(entry.Attempts, now); !until.IsZero() {
			return until, nil
		}
	}
	return time.Time{}, nil
}

// countSource counts a wrong code, whoever's, against where it came from.
func (g *Gate) countSource(ctx context.Context, request Request, now time.Time) error {
	source, found := sourceKey(request)
	if !found {
		return nil
	}
	limits := g.Config.Policy.Attempts
	return g.Ledger.Update(ctx, source, func(entry *ledger.Entry) error {
		countWrong(&entry.Attempts, limits.PerSource, limits.Window, now)
		return nil
	})
}
