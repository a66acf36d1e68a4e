package invocation

import (
	"fmt"
	"time"
)

// progress shows on a terminal how far long work has come: below the answer,
// on a line that goes away again.
type progress struct {
	a           *App
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

// Begin starts the progress of total steps, in place of the one before. It goes
// by the real clock.
func (a *App) Begin(what string, total int) *progress {
	a.Clear()
	a.progress = &progress{a: a, what: what, total: total, next: time.Now().Add(a.Patience)}
	return a.progress
}

// Step counts one step.
func (p *progress) Step() {
	p.done++
	if !IsTerminal(p.a.Stderr) || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(progressEvery)
	p.drawn = true
	fmt.Fprintf(p.a.Stderr, "\r\x1b[K%s: %d of %d", Printable(p.what), p.done, p.total)
}

// Clear takes the line away, before something else is written there.
func (a *App) Clear() {
	if a.progress != nil && a.progress.drawn {
		fmt.Fprint(a.Stderr, "\r\x1b[K")
		a.progress.drawn = false
	}
}
