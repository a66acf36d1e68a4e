package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/ratelimit"
	"github.com/otpgate/otpgate/internal/selfservice"
)

// portalLimits bound what all requests of the page may write in a minute.
type portalLimits struct {
	mu                     sync.Mutex
	now                    func() time.Time
	mostChanges, mostWrong int
	changes, wrong         ratelimit.Limiter
	links                  *portalLinks
	// askedBy are those who ask for links to be mailed, by address, and asks bounds the
	// lines about them.
	askedBy *portalLinks
	asks    ratelimit.Limiter
	// unsaid is how many wrong links the log has not been told of since the last line.
	unsaid int
}

func newPortalLimits(changes, wrong int) *portalLimits {
	return &portalLimits{now: time.Now, mostChanges: changes, mostWrong: wrong, links: newPortalLinks(portalLinkChanges, portalLinkWaits), askedBy: newPortalLinks(portalSourceAsks, 0)}
}

// change says whether one more request may change something in this minute.
func (l *portalLimits) change() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes.Take(l.now(), l.mostChanges)
}

// leave says whether one more may leave something wrong.
func (l *portalLimits) leave() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrong.Take(l.now(), l.mostWrong)
}

// ask says whether a request for a link to be mailed is one too many of its address: as a
// lock, which is the same whatever name was typed. There is no bound for all of them, which
// whoever has several addresses would use up for everybody: see package selfservice for
// what bounds the mails.
func (l *portalLimits) ask(request portalwire.Request) error {
	if request.Op != portalwire.AskLink {
		return nil
	}
	source, _ := gate.SourceKey("", request.Remote)
	return l.askedBy.change(source.Name)
}

// tellOfAsk says whether one more may leave a line.
func (l *portalLimits) tellOfAsk() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asks.Take(l.now(), portalAskLines)
}

// bound gives the ledger and the log for one request.
func (l *portalLimits) bound(store ledger.Store, sink audit.Sink, request portalwire.Request, now func() time.Time) (ledger.Store, audit.Sink) {
	r := &portalRequest{limits: l, changes: changes(request), leave: l.leave, now: now}
	if request.Op == portalwire.AskLink {
		r.leave = l.tellOfAsk
	}
	return portalLedger{store, r}, portalSink{sink, r}
}

// portalRequest is what one request has used up of the limits. It is for one goroutine.
type portalRequest struct {
	limits  *portalLimits
	changes bool // it may change a link, and has not been counted as one that does
	asked   bool // whether it may leave something wrong
	may     bool
	leave   func() bool
	now     func() time.Time // as the engine has it
}

// leaves says whether something wrong may be counted and logged.
func (r *portalRequest) leaves() bool {
	if !r.asked {
		r.asked, r.may = true, r.leave()
	}
	return r.may
}

var errPortalBusy = errors.New("the page asks for too many changes in this minute")

// portalLedger is the ledger for one request.
type portalLedger struct {
	ledger.Store
	request *portalRequest
}

// View implements [ledger.Store]. A request that changes something looks at its link
// first: so it is refused before anything is changed, and who has no good link uses up
// nothing of what those with one may change; nor does who has one beyond its share.
func (p portalLedger) View(ctx context.Context, key ledger.Key) (ledger.Entry, error) {
	entry, err := p.Store.View(ctx, key)
	if err != nil || !p.request.changes || key.Kind != ledger.Link || !isGood(entry.Invitation, p.request.now()) {
		return entry, err
	}
	p.request.changes = false
	if err := p.request.limits.links.change(key.Name); err != nil {
		return ledger.Entry{}, err
	}
	if !p.request.limits.change() {
		return ledger.Entry{}, errPortalBusy
	}
	return entry, nil
}

// isGood says whether something can be changed by a link, whatever it is for.
func isGood(link ledger.Invitation, now time.Time) bool {
	return invitation.IsReady(link, now) || selfservice.IsOpen(link, now)
}

// Update implements [ledger.Store].
func (p portalLedger) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if key.Kind == ledger.Source && !p.request.leaves() {
		return nil
	}
	return p.Store.Update(ctx, key, change)
}

// portalSink is the log for one request.
type portalSink struct {
	audit.Sink
	request *portalRequest
}

// Write implements [audit.Sink].
func (p portalSink) Write(r audit.Record) {
	if r.Rule != "link" {
		p.Sink.Write(r)
		return
	}
	leaves := p.request.leaves()
	if unsaid := p.request.limits.say(leaves); unsaid > 0 {
		r.Reason += fmt.Sprintf(" (and %d others by the page since the last line)", unsaid)
	}
	if leaves {
		p.Sink.Write(r)
	}
}

// say counts a line that is not written, or gives how many were not before this one.
func (l *portalLimits) say(written bool) (unsaid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !written {
		l.unsaid++
		return 0
	}
	unsaid, l.unsaid = l.unsaid, 0
	return unsaid
}
