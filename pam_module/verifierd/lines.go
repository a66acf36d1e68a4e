package main

import "github.com/otpgate/otpgate/internal/audit"

// How many lines of one user's programs are on their way to the log at once. A log
// that takes nothing holds up each of them, with a thread that stays; a server that
// was taken over can end hundreds of dialogues at once. Each user has places of his
// own, so that nobody's lines wait for those of others.
const (
	linesOfAllowed  = 8
	linesOfStranger = 2
)

// places are for what is done so many times at once.
type places chan struct{}

func placesFor(kind peerKind) places {
	if kind == allowed {
		return make(places, linesOfAllowed)
	}
	return make(places, linesOfStranger)
}

// sink is the log for the peer's lines. Those of root wait for nothing.
func (p *peerCount) sink(to audit.Sink) audit.Sink {
	if p.kind == trusted {
		return to
	}
	return inPlace{to, p.lines}
}

// inPlace is a sink for which a place is waited for.
type inPlace struct {
	audit.Sink
	places places
}

// Write implements [audit.Sink].
func (i inPlace) Write(r audit.Record) {
	i.places <- struct{}{}
	defer func() { <-i.places }()
	i.Sink.Write(r)
}
