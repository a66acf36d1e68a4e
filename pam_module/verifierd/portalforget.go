package main

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

const (
	// forgetEvery is how often links that are over are taken out of the ledger.
	forgetEvery = 24 * time.Hour
	// forgetPause is between two looks into the ledger: it has to be done some time,
	// and logins have to be done now.
	forgetPause = 5 * time.Millisecond
)

// forgetter takes what is known of ended links, and of addresses from which nothing wrong
// comes any more, out of the ledger now and then, and keys that those links showed out of
// secret files, while the page is in use: where nobody
// is invited no links are left, and wrong links are what comes from many addresses.
type forgetter struct {
	report func(rule, reason string)
	clock  func() time.Time
	pause  time.Duration
	ctx    context.Context
	end    context.CancelFunc

	mu   sync.Mutex
	next time.Time
	done sync.WaitGroup
}

func newForgetter(report func(rule, reason string)) *forgetter {
	f := &forgetter{report: report, clock: time.Now, pause: forgetPause}
	f.ctx, f.end = context.WithCancel(context.Background())
	return f
}

// now begins with it beside the requests, unless it was done lately. etcd forgets by
// itself, but for the keys in secret files.
func (f *forgetter) now(engine *gate.Gate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.clock().Before(f.next) || f.ctx.Err() != nil {
		return
	}
	at := f.clock()
	f.next = at.Add(forgetEvery)
	own := *engine
	own.Ledger = pausedLedger{engine.Ledger, f.wait}
	f.done.Go(func() {
		err := invitation.Invitations{People: admin.People{Gate: &own}, Random: rand.Reader}.Forget(f.ctx)
		if own.Config.Ledger == nil {
			files, openErr := ledger.OpenFiles(own.Config.Paths.State)
			if openErr == nil {
				openErr = files.ForgetPast(f.ctx, at, f.wait)
			}
			err = errors.Join(err, openErr)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			f.report("portal", err.Error())
		}
	})
}

// wait is the pause between two looks.
func (f *forgetter) wait(ctx context.Context) error {
	timer := time.NewTimer(f.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pausedLedger is a ledger that is looked at with pauses.
type pausedLedger struct {
	ledger.Store
	wait func(context.Context) error
}

// View implements [ledger.Store].
func (s pausedLedger) View(ctx context.Context, key ledger.Key) (ledger.Entry, error) {
	if err := s.wait(ctx); err != nil {
		return ledger.Entry{}, err
	}
	return s.Store.View(ctx, key)
}
