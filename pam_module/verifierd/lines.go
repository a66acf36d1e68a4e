package main

import "github.com/otpgate/otpgate/internal/audit"

// How many lines of one user's programs are on their way to the log at once. A log
// that takes nothing holds up each of them, with a thread that stays; a server that
// was taken over can end hundreds of dialogues at once. The bound is each user's, so
// that nobody's lines wait for those of others.
const (
	linesOfAllowed  = 8
	linesOfOrdinary = 2
	linesOfClients  = 64
)

// semaphore bounds how many do something at once.
type semaphore chan struct{}

func semaphoreFor(kind peerKind) semaphore {
	switch kind {
	case allowed, forPortal:
		return make(semaphore, linesOfAllowed)
	case forClients:
		return make(semaphore, linesOfClients)
	}
	return make(semaphore, linesOfOrdinary)
}

// sink is the log for the peer's lines. Those of root wait for nothing.
func (p *peerCount) sink(to audit.Sink) audit.Sink {
	if p.kind == trusted {
		return to
	}
	return boundedSink{to, p.lines}
}

// boundedSink is a sink to which few write at once; the others wait.
type boundedSink struct {
	audit.Sink
	writing semaphore
}

// Write implements [audit.Sink].
func (b boundedSink) Write(r audit.Record) {
	b.writing <- struct{}{}
	defer func() { <-b.writing }()
	b.Sink.Write(r)
}
