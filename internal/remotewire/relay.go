package remotewire

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/otpgate/otpgate/internal/wire"
)

// Person is who an engine asks through others: [wire.Peer] is one.
type Person interface {
	// Ask shows text and waits for the answer.
	Ask(style wire.Style, text string) (wire.Reply, error)
	// Tell shows text.
	Tell(style wire.Style, text string) error
	// Tail gives an end of the password.
	Tail(n, group int, alphabet string) (text string, found bool, err error)
}

// Outcome is what an engine decided. The zero value denies.
type Outcome struct {
	Verdict wire.Verdict
	// Split is how many bytes of the password are a code, if Verdict is Split.
	Split int
	// Rule is what decided, as the server's log names it. It may be empty.
	Rule string
}

// EngineError is wrapped by errors about the engine's side. Others are about the
// person's.
type EngineError struct{ Err error }

func (e EngineError) Error() string { return e.Err.Error() }

func (e EngineError) Unwrap() error { return e.Err }

// Relay passes an engine's prompts to a person and the replies back, until there is
// a verdict. There is none after an error.
func Relay(engine io.ReadWriter, person Person) (Outcome, error) {
	var outcome Outcome
	for {
		kind, payload, err := wire.ReadFrame(engine, wire.MaxPayload, wire.TypePrompt, wire.TypeVerdict, TypeRule)
		if err != nil {
			return Outcome{}, EngineError{err}
		}
		switch kind {
		case wire.TypeVerdict:
			if err := outcome.set(payload); err != nil {
				return Outcome{}, EngineError{err}
			}
			return outcome, nil
		case TypeRule:
			if outcome.Rule != "" || len(payload) == 0 {
				return Outcome{}, EngineError{protocolError("a second rule, or an empty one")}
			}
			if outcome.Rule = string(payload); checkText(outcome.Rule) != nil {
				return Outcome{}, EngineError{checkText(outcome.Rule)}
			}
		default:
			if err := prompt(engine, person, payload); err != nil {
				return Outcome{}, err
			}
		}
	}
}

func (o *Outcome) set(payload []byte) error {
	if len(payload) == 0 || wire.Verdict(payload[0]) > wire.Split {
		return protocolError("a verdict that is not known")
	}
	o.Verdict = wire.Verdict(payload[0])
	if o.Verdict != wire.Split && len(payload) == 1 {
		return nil
	}
	if o.Verdict != wire.Split || len(payload) != 2 || payload[1] < 1 || payload[1] > wire.MaxTail {
		return protocolError("a verdict with a length that it cannot have")
	}
	o.Split = int(payload[1])
	return nil
}

// prompt passes one prompt on, and the reply back if it asks.
func prompt(engine io.ReadWriter, person Person, payload []byte) error {
	if len(payload) == 0 {
		return EngineError{protocolError("empty prompt frame")}
	}
	style, text := wire.Style(payload[0]), string(payload[1:])
	var reply wire.Reply
	var err error
	switch style {
	case wire.Info, wire.Failure:
		return person.Tell(style, text)
	case wire.EchoOff, wire.EchoOn:
		reply, err = person.Ask(style, text)
	case wire.Tail:
		reply, err = tail(person, text)
	default:
		return EngineError{protocolError("prompt style %d", style)}
	}
	if err != nil {
		return err
	}
	if err := writeReply(engine, reply); err != nil {
		return EngineError{err}
	}
	return nil
}

// errTail is about a prompt for an end of a password that cannot be one.
var errTail = errors.New("prompt for an end of the password")

func tail(person Person, text string) (wire.Reply, error) {
	if len(text) < 2 {
		return wire.Reply{}, EngineError{protocolError("%v without its lengths", errTail)}
	}
	n, group, alphabet := int(text[0]), int(text[1]), text[2:]
	if n < 1 || n > wire.MaxTail || group >= n {
		return wire.Reply{}, EngineError{protocolError("%v of %d bytes in groups of %d", errTail, n, group)}
	}
	end, found, err := person.Tail(n, group, alphabet)
	switch {
	case err != nil:
		return wire.Reply{}, err
	case !found:
		return wire.Reply{Status: wire.NoAnswer}, nil
	}
	return wire.Reply{Status: wire.Answered, Text: end}, nil
}

func writeReply(w io.Writer, reply wire.Reply) error {
	if reply.Status != wire.Answered && reply.Text != "" || len(reply.Text) > wire.MaxAnswer {
		return fmt.Errorf("pass on the reply: %w", protocolError("status %d with %d bytes", reply.Status, len(reply.Text)))
	}
	return wire.WriteFrame(w, wire.TypeReply, []byte{byte(reply.Status)}, []byte(reply.Text))
}

// End passes an outcome on: the rule first, if the engine named one. Both go in a
// single Write, as whoever waits for the verdict would be woken for the rule.
func End(peer wire.Peer, outcome Outcome) error {
	var frames bytes.Buffer
	if outcome.Rule != "" {
		if err := WriteRule(&frames, outcome.Rule); err != nil {
			return err
		}
	}
	if err := EndFront(wire.Peer{Stream: &frames}, outcome); err != nil {
		return err
	}
	if _, err := peer.Stream.Write(frames.Bytes()); err != nil {
		return fmt.Errorf("write verdict: %w", err)
	}
	return nil
}

// EndFront gives a front the verdict, which knows no rules.
func EndFront(peer wire.Peer, outcome Outcome) error {
	if outcome.Verdict == wire.Split {
		return peer.EndSplit(outcome.Split)
	}
	return peer.End(outcome.Verdict)
}
