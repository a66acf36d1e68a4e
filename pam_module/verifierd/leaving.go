package main

import (
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/wire"
)

// leaving is the end of a verifier whose socket systemd keeps: whoever connects from
// then on would wait there until this one has ended, and people who type may take their
// time, also on purpose. Hosts that can start no core, such as web servers, would be
// denied meanwhile. So those go on being answered until the dialogues of before are over,
// and whoever can start a core is left to that, as there would be no end otherwise.
type leaving struct {
	mu    sync.Mutex
	begun bool
	// before is how many dialogues are open that came before the end.
	before int
	over   chan struct{}
}

// leaveWithin is how long dialogues of before are waited for, a little more than they
// take by default, and leftTime how long others get after that. Both together are
// less than TimeoutStopSec= of the service.
const (
	leaveWithin = 125 * time.Second
	leftTime    = 20 * time.Second
)

func newLeaving() *leaving { return &leaving{over: make(chan struct{})} }

// enter counts a dialogue until left is called.
func (l *leaving) enter() (left func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun {
		return func() {}
	}
	l.before++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.before--; l.begun && l.before == 0 {
			close(l.over)
		}
	}
}

// begin begins the end.
func (l *leaving) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun = true; l.before == 0 {
		close(l.over)
	}
}

// wait says whether all dialogues of before are over within that time.
func (l *leaving) wait(most time.Duration) (over bool) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-l.over:
		return true
	case <-timer.C:
		return false
	}
}

// leavesTo says whether a front is left to a core of its own. One of root's that takes
// codes from behind the password is a server's that mostly cannot start any.
func (l *leaving) leavesTo(kind peerKind, start *wire.Start) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	waits := l.begun && l.before > 0
	return waits && (kind == ordinaryUser || kind == trusted && !start.Split && !start.AfterSplit)
}
