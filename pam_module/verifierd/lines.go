package main

import "github.com/otpgate/otpgate/internal/audit"

// linesAtOnce is how many lines of programs of others than root are on their way
// to the log at once. A log that takes nothing holds up each of them, with a thread
// that stays; a server that was taken over can end hundreds of dialogues at once.
const linesAtOnce = 8

// places are for what is done so many times at once.
type places chan struct{}

// sink is the log for programs of that kind.
func (p places) sink(to audit.Sink, kind peerKind) audit.Sink {
	if kind == trusted {
		return to
	}
	return inPlace{to, p}
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
