package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/testwait"
)

// Whoever has a link that is over, and presses its button without end, keeps nobody from
// enrolling.
func TestDeadLinkUsesUpNothing(t *testing.T) {
	const limit = 2
	r := newPortalRig(t, wide)
	r.frozen(limit, 1000)
	cancelled := r.invite(t, "bob", false)
	if _, err := r.invitations(t, time.Now).Cancel(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	for range 2 * portalLinkChanges {
		if answer := r.answered(t, portalwire.Request{Op: portalwire.Begin, Link: cancelled}); answer.Refused != portalwire.Cancelled {
			t.Fatalf("refused as %q", answer.Refused)
		}
	}
	setup := r.begin(t, r.invite(t, "alice", false))
	if r.answered(t, portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: codeOf(t, setup, 0)}).Enrolled == nil {
		t.Error("alice is not enrolled")
	}
}

// A good link has its share, and what is beyond that uses up nothing of the others'.
func TestOneLinkHasItsShare(t *testing.T) {
	r := newPortalRig(t, wide)
	pass := r.frozen(portalLinkChanges+2, 1000)
	bobs := r.invite(t, "bob", false)
	for range portalLinkChanges {
		_ = r.begin(t, bobs)
	}
	for range portalLinkChanges {
		answer := r.answered(t, portalwire.Request{Op: portalwire.Begin, Link: bobs})
		if want := r.portal.limits.links.now().Add(time.Minute / portalLinkChanges); answer.Refused != portalwire.Locked || !answer.Until.Equal(want) {
			t.Fatalf("refused as %q until %v, expected %v", answer.Refused, answer.Until, want)
		}
	}
	setup := r.begin(t, r.invite(t, "alice", false))
	if r.answered(t, portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: codeOf(t, setup, 0)}).Enrolled == nil {
		t.Error("alice is not enrolled")
	}
	pass(2 * time.Minute)
	_ = r.begin(t, bobs)
	r.portal.limits.links.mu.Lock()
	defer r.portal.limits.links.mu.Unlock()
	if count := len(r.portal.limits.links.changes); count != 1 {
		t.Errorf("%d links are remembered, expected those of the last minute", count)
	}
}

// However many requests for one link are open, they take one place.
func TestOneLinkTakesOnePlace(t *testing.T) {
	r := newPortalRig(t, wide)
	bobs, alices := r.invite(t, "bob", false), r.invite(t, "alice", false)
	release := make(chan struct{})
	hold := func(line audit.Record) {
		if line.Verdict == "opened" && line.User == "bob" {
			<-release
		}
	}
	r.log.before.Store(&hold)
	var ended atomic.Int64
	var group sync.WaitGroup
	defer group.Wait()
	defer close(release)
	ask := func() {
		// How each is answered is a matter of how fast this machine is.
		_, _ = portalwireAs(t, r.page, portalwire.Request{Op: portalwire.Begin, Link: bobs, Remote: "192.0.2.1"})
		ended.Add(1)
	}
	for range 2 * portalAtOnce {
		group.Go(ask)
	}
	testwait.Until(t, "all are open or answered", func() bool {
		r.portal.admission.mu.Lock()
		defer r.portal.admission.mu.Unlock()
		return int64(r.portal.admission.open)+ended.Load() >= 2*portalAtOnce && len(r.portal.working) > 0
	})
	_ = r.begin(t, alices)
}

// Few requests wait for one link, and the others are told until when; those who give up
// leave nothing.
func TestTurnsOfALink(t *testing.T) {
	l := newPortalLinks(10, 1)
	now := time.Now()
	l.now = func() time.Time { return now }
	end, err := l.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := l.lock(ctx, "a")
		gaveUp <- err
	}()
	testwait.Until(t, "one waits", func() bool { return l.locks.Users("a") == 2 })
	var locked invitation.LockedError
	if _, err := l.lock(t.Context(), "a"); !errors.As(err, &locked) || !locked.Until.After(now) {
		t.Errorf("a third one: %v", err)
	}
	for _, other := range []string{"b", "", ""} {
		another, err := l.lock(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		defer another()
	}
	giveUp()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("it gave up: %v", err)
	}
	end()
	if end, err = l.lock(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	end()
	if l.locks.Users("a") != 0 {
		t.Error("the link is remembered")
	}
}
