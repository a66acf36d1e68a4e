package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/keylock"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/ratelimit"
)

// portalLinks bound what is done for one link: whoever has one, or had, takes no more
// than a small part of what there is for all.
type portalLinks struct {
	mu      sync.Mutex
	now     func() time.Time
	most    int // changes in a minute
	locks   keylock.Locks
	changes map[string]*ratelimit.Limiter
	pruned  time.Time
}

func newPortalLinks(changes, waiting int) *portalLinks {
	return &portalLinks{now: time.Now, most: changes, locks: keylock.Locks{MaxWaiting: waiting}, changes: map[string]*ratelimit.Limiter{}}
}

// linkOf names the link that a request may change, "" if none.
func linkOf(request portalwire.Request) string {
	if !changes(request) {
		return ""
	}
	key, known := invitation.KeyOf(request.Link, request.BrowserSession)
	if !known {
		return ""
	}
	return key.Name
}

func changes(request portalwire.Request) bool {
	switch request.Op {
	case portalwire.Begin, portalwire.Confirm, portalwire.Enter:
		return true
	case portalwire.Change:
		return request.Manage.Do != portalwire.ShowDevice
	}
	return false
}

var errTurn = errors.New("other requests for the same link took too long")

// turn waits until no other request for the link is worked on. The error is a
// [invitation.LockedError] if too many wait already.
func (l *portalLinks) lock(ctx context.Context, link string) (end func(), err error) {
	if link == "" {
		return func() {}, nil
	}
	end, err = l.locks.Lock(ctx, link)
	switch {
	case errors.Is(err, keylock.ErrFull):
		// All who wait are answered by then, or were given up.
		return nil, invitation.LockedError{Until: l.now().Add(portalwire.Patience)}
	case err != nil:
		return nil, errors.Join(errTurn, err)
	}
	return end, nil
}

// change counts a change of a link that is good, and says until when there may be no
// further one.
func (l *portalLinks) change(link string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	// What has not been used for a minute is as if it were new.
	if now.Sub(l.pruned) >= time.Minute {
		for name, one := range l.changes {
			if one.Full(now, l.most) {
				delete(l.changes, name)
			}
		}
		l.pruned = now
	}
	one := l.changes[link]
	if one == nil && len(l.changes) >= portalCounted {
		// Of so many no bound of one is a bound of anything, and whoever is known must not
		// be refused because of them.
		return nil
	}
	if one == nil {
		one = &ratelimit.Limiter{}
		l.changes[link] = one
	}
	if !one.Take(now, l.most) {
		return invitation.LockedError{Until: now.Add(one.Wait(l.most))}
	}
	return nil
}
