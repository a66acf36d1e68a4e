package command

import (
	"fmt"
	"time"
)

// progress shows on a terminal how far long work has come: below the answer,
// on a line that goes away again.
type progress struct {
	a           *app
	what        string
	total, done int
	next        time.Time
	drawn       bool
}

// Work that is done sooner shows nothing, and the line changes only so often.
const (
	progressAfter = 2 * time.Second
	progressEvery = 200 * time.Millisecond
)

// begin starts the progress of total steps, in place of the one before. It goes
// by the real clock.
func (a *app) begin(what string, total int) *progress {
	a.clear()
	a.progress = &progress{a: a, what: what, total: total, next: time.Now().Add(a.Patience)}
	return a.progress
}

// step counts one step.
func (p *progress) step() {
	p.done++
	if !isTerminal(p.a.Stderr) || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(progressEvery)
	p.drawn = true
	fmt.Fprintf(p.a.Stderr, "\r\x1b[K%s: %d of %d", printable(p.what), p.done, p.total)
}

// clear takes the line away, before something else is written there.
func (a *app) clear() {
	if a.progress != nil && a.progress.drawn {
		fmt.Fprint(a.Stderr, "\r\x1b[K")
		a.progress.drawn = false
	}
}
