package verifierlogin

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/wire"
)

// What a verifier may ask in one dialogue, as the front in C has it: no login comes
// near, and none goes on for ever.
const maxPrompts, maxTails = 64, 16

// person is who logs in, as a verifier asks: a [remotewire.Person].
type person struct {
	conversation gate.Conversation
	prompts      int
}

func (p *person) count() error {
	if p.prompts++; p.prompts > maxPrompts {
		return fmt.Errorf("it asks and tells more than %d times", maxPrompts)
	}
	return nil
}

// Ask shows a prompt. Without an answer the verifier is told that, and has the last word.
func (p *person) Ask(_ wire.Style, text string) (wire.Reply, error) {
	if err := p.count(); err != nil {
		return wire.Reply{}, err
	}
	answer, err := p.conversation.Ask(text)
	switch {
	case err != nil:
		return wire.Reply{Status: wire.NoAnswer}, nil
	case answer.Password:
		return wire.Reply{Status: wire.IsPassword}, nil
	case len(answer.Text) > wire.MaxAnswer:
		return wire.Reply{Status: wire.TooLong}, nil
	}
	return wire.Reply{Status: wire.Answered, Text: answer.Text}, nil
}

// Tell shows a line.
func (p *person) Tell(style wire.Style, text string) error {
	tone := gate.Info
	if style == wire.Failure {
		tone = gate.Failure
	}
	err := p.count()
	if err == nil {
		p.conversation.Tell(tone, text)
	}
	return err
}

// Tail is for passwords that are still to be checked.
func (*person) Tail(int, int, string) (text string, found bool, err error) {
	return "", false, errors.New("it asks for an end of the password after that was right")
}

// field is a password that is still to be checked: nobody is asked and told anything.
type field struct {
	tails gate.Tails
	asked int
	given [wire.MaxTail + 1]bool // ends, by their length
}

var errTooSoon = errors.New("it asks or tells before the password was right")

// Ask is for people whose password was right.
func (*field) Ask(wire.Style, string) (wire.Reply, error) { return wire.Reply{}, errTooSoon }

// Tell is for them too.
func (*field) Tell(wire.Style, string) error { return errTooSoon }

// Tail gives an end of the password.
func (f *field) Tail(n, group int, alphabet string) (text string, found bool, err error) {
	if f.asked++; f.asked > maxTails {
		return "", false, fmt.Errorf("it asks for more than %d ends of the password", maxTails)
	}
	text, found, err = f.tails.Tail(n, group, alphabet)
	if found && err == nil {
		f.given[n] = true
	}
	return text, found, err
}

// silent is a conversation with nobody.
type silent struct{}

// Ask implements gate.Conversation.
func (silent) Ask(string) (gate.Answer, error) { return gate.Answer{}, errTooSoon }

// Tell implements gate.Conversation.
func (silent) Tell(gate.Tone, string) {}
