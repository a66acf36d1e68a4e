package selfservice

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// hanging is a ledger in which each change after the first hangs, as on a file system whose
// server is gone, until it is released.
type hanging struct {
	ledger.Store
	changed         bool
	hangs, released chan struct{}
}

func (h *hanging) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if h.changed {
		h.hangs <- struct{}{}
		<-h.released
	}
	h.changed = true
	return h.Store.Update(ctx, key, change)
}

// A link that is lost is told before the ledger takes it back, which may hang.
func TestLostLinkIsToldFirst(t *testing.T) {
	s := newSite(t)
	s.Later = noPlace{}
	h := &hanging{Store: s.People.Ledger, hangs: make(chan struct{}), released: make(chan struct{})}
	s.People.Ledger = h
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Ask("alice", home, "")
	}()
	<-h.hangs
	if told := s.Lines(); !strings.Contains(told, "user=alice") || !strings.Contains(told, ErrBusy.Error()) {
		t.Errorf("while the ledger hangs the log has:\n%s", told)
	}
	close(h.released)
	<-done
}

// One that the ledger does not take back is told too.
func TestLostLinkThatCounts(t *testing.T) {
	s := newSite(t)
	s.Later = noPlace{}
	s.People.Ledger = &failsOnce{Store: s.People.Ledger, left: 2}
	s.Ask("alice", home, "")
	if told := s.Lines(); !strings.Contains(told, ErrBusy.Error()) || !strings.Contains(told, "it counts as mailed nevertheless: "+errBroken.Error()) {
		t.Errorf("the log has:\n%s", told)
	}
}

// lostMidway loses links of which nobody knows whether they were mailed.
type lostMidway struct{ atOnce }

var errMidway = errors.New("it was not done in time")

func (lostMidway) Link(job Job) { job.Lost(errMidway) }

// A mail that may have gone counts.
func TestLostMidwayCounts(t *testing.T) {
	s := newSite(t)
	s.Later = lostMidway{}
	for range gate.LinksPerHour + 1 {
		s.Ask("alice", home, "")
	}
	if told := strings.Count(s.Lines(), errMidway.Error()); told != gate.LinksPerHour {
		t.Errorf("%d were begun, expected %d\n%s", told, gate.LinksPerHour, s.Lines())
	}
}
