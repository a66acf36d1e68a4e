// Package verifierlogin has the machine's verifier decide logins: it is to a program
// of otpgate's own what the front in C is to a host. Where logins are not decided on
// the machine itself, otpgate-verifierd alone knows who decides them.
//
// The entry point is [Engine]. The package promises that a login is put to one
// verifier, once; that only a verifier is believed which root has let listen there;
// and that one which does not answer, or breaks off, lets nobody in.
package verifierlogin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// Engine is an engine that asks the verifier. Every exported field must be set but
// Config.
type Engine struct {
	// Here has the configuration. What its policy decides without secret files and
	// ledger it decides itself: those who are never asked get in while no verifier
	// answers.
	Here *gate.Gate
	// Config is the path of the configuration, as the verifier was told it.
	Config string
	// Rule is what the log names where no verifier has decided.
	Rule string
	// Decided is told of what the verifier has decided and written a line about.
	Decided audit.Sink
	// Pause waits for so long, or not at all if that is over.
	Pause func(time.Duration)
	// patience is another one than usual, in tests.
	patience time.Duration
}

// Login decides one login as [gate.Gate.Login] does. Its end is that of ctx.
func (e *Engine) Login(ctx context.Context, request gate.Request, conversation gate.Conversation) gate.Verdict {
	if e.Here.DecidedHere(request) {
		return e.Here.Login(ctx, request, conversation)
	}
	outcome, err := e.ask(ctx, startOf(request), &person{conversation: conversation})
	if err == nil && outcome.Verdict == wire.Split {
		err = errors.New("it takes a code off where nobody asked for that")
	}
	if err != nil {
		return gate.Refuse(e.Here.Audit, request, conversation, e.Rule, explained(err))
	}
	verdict := gate.Verdict{Decision: decisions[outcome.Verdict], Rule: outcome.Rule}
	e.decided(request, verdict)
	return verdict
}

// Split says how much of a password is a code, as [gate.Gate.Split] does.
func (e *Engine) Split(ctx context.Context, request gate.Request, tails gate.Tails) (n int, err error) {
	begun := time.Now()
	defer func() { e.Pause(leastSplit - time.Since(begun)) }()
	if e.Here.DecidedHere(request) {
		return e.Here.Split(ctx, request, tails)
	}
	start := startOf(request)
	start.Split = true
	field := &field{tails: tails}
	outcome, err := e.ask(ctx, start, field)
	switch {
	case err != nil:
	case outcome.Verdict == wire.Ignore:
		return 0, nil
	case outcome.Verdict == wire.Split && field.given[outcome.Split]:
		return outcome.Split, nil
	case outcome.Verdict == wire.Fault:
		e.decided(request, gate.Verdict{Decision: gate.Fault, Rule: outcome.Rule})
		return 0, errNotDecided
	default:
		err = fmt.Errorf("its verdict %d on %d bytes at the end of a password is none", outcome.Verdict, outcome.Split)
	}
	return 0, refused(e.Here.Audit, request, e.Rule, explained(err))
}

// leastSplit hides how often a server asks for ends of the password, which it does
// only if the person is enrolled: each is a round trip, and nothing was proven yet.
const leastSplit = 250 * time.Millisecond

// EndsLikeCode says so of every password: what codes look like is for servers to know.
// A refusal of whatever password takes as long then.
func (e *Engine) EndsLikeCode(gate.Tails) (bool, error) { return true, nil }

// errNotDecided is about what the verifier's own line in the log explains.
var errNotDecided = errors.New("the verifier cannot decide")

// explained says what an admin can do about a verifier that does not answer.
func explained(err error) error {
	return fmt.Errorf("otpgate-verifierd decides this login: %w; see systemctl status otpgate-verifierd.socket", err)
}

// refused is a split that was not decided. Nobody is told anything.
func refused(sink audit.Sink, request gate.Request, rule string, err error) error {
	gate.Refuse(sink, request, silent{}, rule, err)
	return err
}

// decided counts what has a line in the log already.
func (e *Engine) decided(request gate.Request, verdict gate.Verdict) {
	e.Decided.Write(audit.Record{
		User: request.User, Service: request.Service, Protocol: string(request.Protocol), Remote: request.RemoteHost, TTY: request.TTY,
		Verdict: verdict.Decision.String(), Rule: verdict.Rule,
	})
}

// decisions are what a front's verdicts mean. There is no other one but Split.
var decisions = map[wire.Verdict]gate.Decision{
	wire.Deny: gate.Deny, wire.Accept: gate.Accept, wire.Ignore: gate.NotAsked, wire.MaxTries: gate.TooMany, wire.Fault: gate.Fault,
}

func startOf(request gate.Request) wire.Start {
	return wire.Start{
		User: request.User, Service: request.Service, Protocol: string(request.Protocol), RemoteHost: request.RemoteHost, TTY: request.TTY,
		AfterSplit: request.AfterSplit, CodeBehind: request.CodeBehind, Unproven: request.Unproven, Rule: true,
	}
}

// margin is how much earlier than here the verifier's time for a dialogue ends, so that
// its word comes before nobody listens any more.
const margin = time.Second

// ask puts one login to the verifier.
func (e *Engine) ask(ctx context.Context, start wire.Start, who remotewire.Person) (remotewire.Outcome, error) {
	most, cancel := context.WithTimeout(ctx, wire.MaxTimeout+margin)
	defer cancel()
	end, _ := most.Deadline()
	start.Config, start.Timeout = e.Config, max(time.Second, (time.Until(end)-margin).Truncate(time.Second))
	conn, err := e.taken(most, start)
	if err != nil {
		return remotewire.Outcome{}, err
	}
	defer conn.Close()
	defer closeWith(most, conn)()
	outcome, err := remotewire.Relay(conn, who)
	if err != nil && most.Err() != nil {
		err = errors.New("it did not decide in time")
	}
	return outcome, err
}
