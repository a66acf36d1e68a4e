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

// maxLock bounds how long wrong codes lock a person out.
const maxLock = 24 * time.Hour

// budgetTime is how long it takes until a person's whole budget of wrong codes
// is forgiven, one after the other.
const budgetTime = 24 * time.Hour

// quietTime is how long nobody must have given a wrong code for the next lock
// to be a short one again. It is longer than any lock: whoever waits one out
// does not begin anew.
const quietTime = 7 * 24 * time.Hour

// lockedError is what a change of the ledger ends with when the key is locked.
type lockedError struct{ until time.Time }

func (l lockedError) Error() string { return "locked until " + l.until.UTC().Format(time.RFC3339) }

// locked returns until when attempts are locked, the zero time if they are not.
func locked(attempts ledger.Attempts, now time.Time) time.Time {
	settle(&attempts, now)
	// A lock longer than any can be is not one of ours.
	if now.Before(attempts.LockedUntil) && attempts.LockedUntil.Sub(attempts.LastWrong) <= maxLock {
		return attempts.LockedUntil
	}
	return time.Time{}
}

// settle takes attempts that lie ahead of the clock as made now. The clock has
// been set back since, by a second or from a year that was wrong, and how much
// time has passed is not known: a lock begins anew. So nobody waits for longer
// than one lock, and nobody gains a guess by moving the clock.
func settle(attempts *ledger.Attempts, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	ahead := attempts.LastWrong.Sub(now)
	if ahead <= 0 {
		return
	}
	attempts.LastWrong = now
	if !attempts.LockedUntil.IsZero() {
		attempts.LockedUntil = attempts.LockedUntil.Add(-ahead)
	}
}

// forgive takes off wrong codes for the time that has passed since the last one:
// limit of them in budget. A time too short for one is lost with the next wrong
// code.
func forgive(attempts *ledger.Attempts, limit int, budget time.Duration, now time.Time) {
	since := now.Sub(attempts.LastWrong)
	each := budget / time.Duration(limit)
	if since < 0 || each <= 0 {
		return
	}
	attempts.Wrong -= min(attempts.Wrong, int(since/each))
}

// WrongLately says how many wrong codes count against a person
// (policy.attempts.per_window), and until when they lock the person's logins:
// the zero time if they do not.
func (g *Gate) WrongLately(entry ledger.Entry) (count int, until time.Time) {
	attempts := g.counts(entry).Attempts
	settle(&attempts, g.Now())
	forgive(&attempts, g.Config.Policy.Attempts.PerWindow, budgetTime, g.Now())
	return attempts.Wrong, locked(attempts, g.Now())
}

// countPerson counts one wrong code of a person. The limit-th locks for window.
// Then each further one locks again, for twice as long, as only so many are
// forgiven in a day. So whoever knows the password and guesses, however
// patiently, has about limit guesses a day.
func countPerson(attempts *ledger.Attempts, limit int, window config.Duration, now time.Time) {
	settle(attempts, now)
	last := attempts.LastWrong
	if attempts.LockedUntil.After(last) {
		last = attempts.LockedUntil
	}
	if now.Sub(last) > quietTime {
		attempts.Locks = 0
	}
	forgive(attempts, limit, budgetTime, now)
	attempts.Wrong++
	attempts.Unseen++
	attempts.LastWrong = now.UTC().Truncate(time.Second)
	if attempts.Wrong < limit {
		return
	}
	attempts.Wrong = limit
	lock := window.Duration
	for range attempts.Locks {
		if lock = 2 * lock; lock >= maxLock {
			lock = maxLock
			break
		}
	}
	attempts.Locks++
	attempts.LockedUntil = now.Add(lock).UTC().Truncate(time.Second)
}

// countRight notes a right code: the next lock is a short one, and half of the
// wrong codes are forgiven. Were it all, the owner's own logins would give a
// guesser a whole budget each. It returns how many wrong codes the owner has
// not been told of.
func countRight(attempts *ledger.Attempts) (unseen int) {
	unseen = attempts.Unseen
	attempts.Locks, attempts.Unseen = 0, 0
	attempts.Wrong /= 2
	attempts.LockedUntil = time.Time{}
	return unseen
}

// countAddress counts one wrong code from an address. Many people may share
// one, so its lock lasts for window alone and all is forgiven in that time.
func countAddress(attempts *ledger.Attempts, limit int, window config.Duration, now time.Time) {
	settle(attempts, now)
	if !locked(*attempts, now).IsZero() {
		return
	}
	forgive(attempts, limit, window.Duration, now)
	attempts.Wrong++
	attempts.LastWrong = now.UTC().Truncate(time.Second)
	if attempts.Wrong >= limit {
		attempts.LockedUntil = now.Add(window.Duration).UTC().Truncate(time.Second)
	}
}

// SourceKey names where a login comes from, see [config.SourceOf]. A local login
// has none. On a client, "" for this machine, it is that client's word, which counts
// against nobody else.
func SourceKey(client, remote string) (ledger.Key, bool) {
	name := remote
	if addr, err := netip.ParseAddr(name); err == nil {
		source := config.SourceOf(addr)
		name = source.String()
		if source.IsSingleIP() {
			name = source.Addr().String()
		}
	}
	if name == "" || len(name) > 255 {
		return ledger.Key{}, false
	}
	if client == "" {
		return ledger.Key{Kind: ledger.Source, Name: name}, true
	}
	// No client's name has a slash. The longest names of hosts have no
	// room beside it; they share the count of those that begin alike.
	name = client + "/" + name
	return ledger.Key{Kind: ledger.Client, Name: name[:min(len(name), 255)]}, true
}

// keysOf are those that can be locked.
func (g *Gate) keysOf(request Request, person account.Person) []ledger.Key {
	return append([]ledger.Key{ledger.UserKey(person.User)}, g.sourcesOf(request)...)
}

// sourcesOf are those that wrong codes count for whoever's they are: where a login
// comes from, and the client that it comes by.
func (g *Gate) sourcesOf(request Request) (keys []ledger.Key) {
	// The client's lock comes first, as it keeps more out.
	if g.Client != "" {
		keys = append(keys, ClientKey(g.Client))
	}
	if source, found := SourceKey(g.Client, request.RemoteHost); found {
		keys = append(keys, source)
	}
	return keys
}

// ClientKey is what all logins of a client are counted under.
func ClientKey(name string) ledger.Key { return ledger.Key{Kind: ledger.Client, Name: name} }

// lock is what keeps a login out: the wrong codes of one key, until then.
type lock struct {
	key   ledger.Key
	until time.Time
}

// firstLock is that of the first of the keys which is locked, the zero lock if none is.
func (g *Gate) firstLock(ctx context.Context, keys ...ledger.Key) (lock, error) {
	return g.firstLockOf(ctx, keys, ledger.Views(ctx, g.Ledger, keys...))
}

// firstLockOf is firstLock for keys of which view shows the entries.
func (g *Gate) firstLockOf(ctx context.Context, keys []ledger.Key, view func(i int) (ledger.Entry, error)) (lock, error) {
	for i, key := range keys {
		entry, err := view(i)
		if err != nil {
			return lock{}, blame{"ledger", fmt.Errorf("count attempts: %w", err)}
		}
		if until, err := g.lockOf(ctx, key, entry); err != nil || !until.IsZero() {
			return lock{key, until}, err
		}
	}
	return lock{}, nil
}

// inLog says by which limit a lock keeps out, and what the admin should know of it.
func (g *Gate) inLog(l lock) (rule, reason string) {
	reason = "locked until " + l.until.UTC().Format(time.RFC3339) + g.ofPeer()
	switch {
	case l.key.Kind == ledger.User, l.key.Kind == ledger.BreakGlass:
		return "policy.attempts.per_window", reason
	case l.key == ClientKey(g.Client):
		return "client.wrong_codes", fmt.Sprintf("all logins of %s are %s, by wrong codes for whomever; otpctl unlock --client %s lifts that", g.Client, reason, g.Client)
	}
	return "policy.attempts.per_source", "this address is " + reason
}

// lockOf returns until when the entry of key is locked. A lock that begins anew
// as the clock was set back is noted, so that it does so once.
func (g *Gate) lockOf(ctx context.Context, key ledger.Key, entry ledger.Entry) (time.Time, error) {
	now := g.Now()
	attempts := g.counts(entry).Attempts
	until := locked(attempts, now)
	if until.IsZero() || !attempts.LastWrong.After(now) {
		return until, nil
	}
	err := g.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
		counts := g.counts(*entry)
		settle(&counts.Attempts, now)
		g.setCounts(entry, counts)
		return nil
	})
	if err != nil {
		return time.Time{}, blame{"ledger", fmt.Errorf("note that the clock was set back: %w", err)}
	}
	return until, nil
}

// countSource counts a wrong code, whoever's, against where it came from, and the
// client that it came by.
func (g *Gate) countSource(ctx context.Context, request Request, now time.Time) error {
	for _, key := range g.sourcesOf(request) {
		limit, window := g.Config.Policy.Attempts.PerSource, g.Config.Policy.Attempts.Window
		if key == ClientKey(g.Client) {
			limit = max(1, g.ClientWrong)
		}
		err := g.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
			counts := g.counts(*entry)
			countAddress(&counts.Attempts, limit, window, now)
			g.setCounts(entry, counts)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// LockedUntil returns until when wrong codes keep this login out, the zero
// time if they do not. request.User must be the name of the secret file.
func (g *Gate) LockedUntil(ctx context.Context, request Request) (time.Time, error) {
	now := g.Now()
	for _, key := range g.keysOf(request, account.Person{User: request.User}) {
		entry, err := g.Ledger.View(ctx, key)
		if err != nil {
			return time.Time{}, blame{"ledger", fmt.Errorf("count attempts: %w", err)}
		}
		if until := locked(g.counts(entry).Attempts, now); !until.IsZero() {
			return until, nil
		}
	}
	return time.Time{}, nil
}

// SourceLocked returns until when wrong codes from there keep everybody out, the zero
// time if they do not.
func (g *Gate) SourceLocked(ctx context.Context, remote string) (time.Time, error) {
	l, err := g.firstLock(ctx, g.sourcesOf(Request{RemoteHost: remote})...)
	return l.until, err
}

// CountSource counts something wrong that came from there and could be nobody's.
func (g *Gate) CountSource(ctx context.Context, remote string) error {
	return g.countSource(ctx, Request{RemoteHost: remote}, g.Now())
}
