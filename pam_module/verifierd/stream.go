package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/wire"
)

// stream is a front's connection. It sends Ready together with the first
// prompt: a front that is woken twice costs as much as a walk to its secret
// file. What may make the front wait for long must call announce first, and a
// line of the log is written after it.
type stream struct {
	out io.Writer
	in  *bufio.Reader
	// owed is set while Ready has to go ahead of what is written.
	owed bool
	// gone is why Ready could not be sent: the front has turned to another engine,
	// and nothing must come of the dialogue.
	gone error
}

// inBytes holds a whole opening frame of most logins; a longer one is read by and
// by.
const inBytes = 512

func newStream(conn io.ReadWriter) *stream {
	return &stream{out: conn, in: bufio.NewReaderSize(conn, inBytes)}
}

// Read implements [io.Reader]. A frame's header and payload mostly come at once.
func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p) }

// Write implements [io.Writer].
func (s *stream) Write(p []byte) (int, error) {
	if !s.owed {
		return s.out.Write(p)
	}
	s.owed = false
	n, err := s.out.Write(append([]byte{wire.Ready}, p...))
	s.gone = err
	return max(0, n-1), err
}

// announce sends Ready if that is still to be done. The error says that the
// front is gone; whoever has done nothing yet that matters learns of it at the
// next frame.
func (s *stream) announce() error {
	if s.owed {
		_, _ = s.Write(nil)
	}
	return s.gone
}

// quiet is the log of a dialogue. A front that went before it was told that its
// login is taken, as one does that waited two seconds for a verifier to be
// started, has turned to a core of its own, which writes the line.
type quiet struct {
	audit.Sink
	stream *stream
}

// Write implements [audit.Sink].
func (q quiet) Write(record audit.Record) {
	if q.stream.announce() == nil {
		q.Sink.Write(record)
	}
}

// announceFor makes an engine do what may be slow only after the front has been
// told that its login is taken: ask name services, write to a disk, send a code.
// Otherwise it would turn to a core of its own, and a code would go out twice.
func (s *stream) announceFor(engine *gate.Gate) {
	engine.Names = announced{engine.Names, s}
	engine.Ledger = announcedLedger{engine.Ledger, s, engine.Config.Ledger != nil}
	if engine.BreakGlass != nil {
		own := *engine.BreakGlass
		own.Ledger = announcedLedger{own.Ledger, s, false}
		engine.BreakGlass = &own
	}
	if engine.Sender != nil {
		engine.Sender = announcedSender{engine.Sender, s}
	}
}

type announced struct {
	gate.Names
	stream *stream
}

// Canonical implements gate.Names.
func (a announced) Canonical(user string) (name string, known bool, err error) {
	_ = a.stream.announce()
	return a.Names.Canonical(user)
}

// Others implements gate.Names.
func (a announced) Others(user string) ([]string, error) {
	_ = a.stream.announce()
	return a.Names.Others(user)
}

// InGroup implements gate.Names.
func (a announced) InGroup(user, group string) (bool, error) {
	_ = a.stream.announce()
	return a.Names.InGroup(user, group)
}

type announcedLedger struct {
	ledger.Store
	stream *stream
	// elsewhere is set if even a look goes over the network.
	elsewhere bool
}

// View implements ledger.Store.
func (a announcedLedger) View(ctx context.Context, key ledger.Key) (ledger.Entry, error) {
	if a.elsewhere {
		_ = a.stream.announce()
	}
	return a.Store.View(ctx, key)
}

// ViewAhead implements ledger.Ahead.
func (a announcedLedger) ViewAhead(ctx context.Context, keys ...ledger.Key) func(i int) (ledger.Entry, error) {
	if a.elsewhere {
		_ = a.stream.announce()
	}
	return ledger.Views(ctx, a.Store, keys...)
}

// Update implements ledger.Store.
func (a announcedLedger) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if err := a.stream.announce(); err != nil {
		return fmt.Errorf("the host is gone: %w", err)
	}
	return a.Store.Update(ctx, key, change)
}

type announcedSender struct {
	deliver.Sender
	stream *stream
}

// Send implements deliver.Sender. A front that is gone has asked another engine,
// which sends the code.
func (a announcedSender) Send(ctx context.Context, message deliver.Message) (deliver.Delivery, error) {
	if err := a.stream.announce(); err != nil {
		return deliver.Delivery{}, fmt.Errorf("the host is gone: %w", err)
	}
	return a.Sender.Send(ctx, message)
}
