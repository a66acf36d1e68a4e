// Package serve lets the engine answer one PAM front.
//
// The entry point is [Dialogue]. It promises to end every dialogue that was
// opened with exactly one verdict, and to send nothing but Deny or Fault when
// it could not understand the front.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/wire"
)

// Opener gives the gate for what a front asks. Its error says what to blame,
// as gate.Refuse takes it.
type Opener func(start wire.Start, sink audit.Sink) (engine *gate.Gate, blame string, err error)

// OpenFresh opens a gate for one login, with the configuration file that the
// front names.
func OpenFresh(start wire.Start, sink audit.Sink) (*gate.Gate, string, error) {
	engine, err := gate.Open(start.Config, sink)
	if err == nil {
		engine.UseBreakGlass() // it asks no server
		engine.Invite = invitation.AtLogin
	}
	return engine, "configuration", err
}

// Dialogue reads a front's opening frame from stream, decides the login and
// sends the verdict. The error is for the log; the front has been answered, or
// is gone.
func Dialogue(ctx context.Context, stream io.ReadWriter, open Opener, sink audit.Sink) error {
	start, err := wire.ReadStart(stream)
	if err != nil {
		return fmt.Errorf("open dialogue: %w", err)
	}
	return Answer(ctx, stream, &start, open, sink)
}

// Answer is Dialogue after the opening frame.
func Answer(ctx context.Context, stream io.ReadWriter, start *wire.Start, open Opener, sink audit.Sink) error {
	if start.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, start.Timeout)
		defer cancel()
	}
	peer := wire.Peer{Stream: stream}
	if start.Split {
		return split(ctx, peer, start, open, sink)
	}
	verdict := login(ctx, start, open, sink, conversation{peer})
	return end(peer, start.User, verdict.Decision)
}

func end(peer wire.Peer, user string, decision gate.Decision) error {
	err := peer.End(verdicts[decision])
	// A front that is gone misses nothing by a denial: the host ended, or
	// whoever was asked for a code went away, and the audit line is there.
	if err != nil && (decision == gate.Accept || decision == gate.NotAsked) {
		return fmt.Errorf("send verdict on %q: %w", user, err)
	}
	return nil
}

// verdicts are the engine's decisions as the front knows them. What is not in
// the map is Deny.
var verdicts = map[gate.Decision]wire.Verdict{
	gate.Deny: wire.Deny, gate.Accept: wire.Accept, gate.NotAsked: wire.Ignore, gate.TooMany: wire.MaxTries, gate.Fault: wire.Fault,
}

func login(ctx context.Context, start *wire.Start, open Opener, sink audit.Sink, dialogue gate.Conversation) gate.Verdict {
	engine, request, blame, err := Prepare(start, open, sink)
	if err != nil {
		return gate.Refuse(sink, request, dialogue, blame, err)
	}
	return engine.Login(ctx, request, dialogue)
}

// Prepare gives the engine and what it is asked, or what is to blame.
func Prepare(start *wire.Start, open Opener, sink audit.Sink) (*gate.Gate, gate.Request, string, error) {
	request := gate.Request{
		User: start.User, Service: start.Service, RemoteHost: start.RemoteHost, TTY: start.TTY,
		AfterSplit: start.AfterSplit, CodeBehind: start.AfterSplit && start.CodeBehind, Unproven: start.Unproven,
	}
	if start.Protocol != "" {
		if err := request.Protocol.UnmarshalText([]byte(start.Protocol)); err != nil {
			return nil, request, "module-argument", fmt.Errorf("module argument protocol=%s: %w", start.Protocol, err)
		}
	}
	engine, blame, err := open(*start, sink)
	if err != nil {
		return nil, request, blame, err
	}
	if start.Protocol != "" {
		if request.Protocol, err = engine.Config.Policy.Protocol(start.Protocol); err != nil {
			return nil, request, "module-argument", fmt.Errorf("module argument protocol=%s: %w", start.Protocol, err)
		}
	}
	if start.Debug {
		sink.Write(debugRecord(*start, engine.Config))
	}
	return engine, request, "", nil
}

// debugRecord shows what the front sent, none of which is secret.
func debugRecord(start wire.Start, settings config.Config) audit.Record {
	return audit.Record{
		User: start.User, Service: start.Service, Protocol: start.Protocol, Remote: start.RemoteHost, TTY: start.TTY, Rule: "debug",
		Reason: fmt.Sprintf("config %q, timeout %s, remote user %q, users %s, state %s",
			start.Config, start.Timeout, start.RemoteUser, settings.Paths.Users, settings.Paths.State),
	}
}

// conversation relays the engine's questions to the front.
type conversation struct{ peer wire.Peer }

var (
	errNoAnswer = errors.New("the host gave no answer to the prompt")
	errGone     = errors.New("the person or the host went away at the prompt")
	errTooLong  = fmt.Errorf("the answer is over %d bytes", wire.MaxAnswer)
)

// Ask implements gate.Conversation.
func (c conversation) Ask(prompt string) (gate.Answer, error) {
	reply, err := c.peer.Ask(wire.EchoOff, prompt)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return gate.Answer{}, errGone
	}
	if err != nil {
		return gate.Answer{}, fmt.Errorf("ask: %w", err)
	}
	switch reply.Status {
	case wire.Answered:
		return gate.Answer{Text: reply.Text}, nil
	case wire.IsPassword:
		return gate.Answer{Password: true}, nil
	case wire.TooLong:
		return gate.Answer{}, errTooLong
	}
	return gate.Answer{}, errNoAnswer
}

// Tell implements gate.Conversation.
func (c conversation) Tell(tone gate.Tone, text string) {
	style := wire.Info
	if tone == gate.Failure {
		style = wire.Failure
	}
	_ = c.peer.Tell(style, text) // a front that is gone is noticed at the next question
}

// Unreachable ends a dialogue that is for others to decide, of whom nobody can be reached:
// engine asks for a break-glass code where it may. rule and cause are for the log.
func Unreachable(ctx context.Context, stream io.ReadWriter, start *wire.Start, request gate.Request, engine *gate.Gate, rule string, cause error) error {
	peer := wire.Peer{Stream: stream}
	if !start.Split {
		return end(peer, start.User, engine.Unreachable(ctx, request, conversation{peer}, rule, cause).Decision)
	}
	n, err := engine.SplitUnreachable(request, peer, rule, cause)
	if err != nil {
		// It is in the log already, and the front may well be gone.
		_ = peer.End(wire.Fault)
		return nil
	}
	return endSplit(peer, n)
}

// Refuse ends a dialogue that cannot be decided: the person is told so, unless the
// password is still to be checked, and the log what is to blame.
func Refuse(stream io.ReadWriter, start *wire.Start, request gate.Request, sink audit.Sink, rule string, err error) error {
	peer := wire.Peer{Stream: stream}
	var dialogue gate.Conversation = conversation{peer}
	if start.Split {
		dialogue = silent{}
	}
	return end(peer, start.User, gate.Refuse(sink, request, dialogue, rule, err).Decision)
}
