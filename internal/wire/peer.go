package wire

import "io"

// Style says how the front shows a prompt.
type Style uint8

// The styles. EchoOff and EchoOn ask and are answered; Info and Failure only
// tell.
const (
	EchoOff Style = 1
	EchoOn  Style = 2
	Info    Style = 3
	Failure Style = 4
)

// Status says what became of a prompt that asks.
type Status uint8

// The statuses. Only Answered comes with a text.
const (
	Answered   Status = 1 // the person's text
	NoAnswer   Status = 2 // the conversation failed or gave NULL, as after Ctrl-C
	TooLong    Status = 3 // the answer was over MaxAnswer bytes and was dropped
	IsPassword Status = 4 // the host gave the login's password again
)

// MaxAnswer is the longest answer in bytes that a front passes on. It is far
// above any code and is PAM_MAX_RESP_SIZE of Linux-PAM.
const MaxAnswer = 512

// Reply is the front's answer to one prompt.
type Reply struct {
	Status Status
	Text   string
}

// Verdict is the core's last word. The zero value denies.
type Verdict uint8

// The verdicts and the PAM return value that the front makes of each.
const (
	Deny     Verdict = 0 // PAM_AUTH_ERR
	Accept   Verdict = 1 // PAM_SUCCESS: a code was given and was right
	Ignore   Verdict = 2 // PAM_IGNORE: policy asks no code of this login
	MaxTries Verdict = 3 // PAM_MAXTRIES: no further try in this login
	Fault    Verdict = 4 // PAM_SYSTEM_ERR: the question could not be decided
)

// Peer is the core's end of a dialogue that has been opened by a Start frame.
type Peer struct {
	Stream io.ReadWriter
}

// Ask shows text and waits for the answer. style is EchoOff or EchoOn.
func (p Peer) Ask(style Style, text string) (Reply, error) {
	if style != EchoOff && style != EchoOn {
		return Reply{}, protocolError("prompt style %d does not ask", style)
	}
	if err := p.prompt(style, text); err != nil {
		return Reply{}, err
	}
	kind, payload, err := readFrame(p.Stream)
	if err != nil {
		return Reply{}, err
	}
	if kind != TypeReply {
		return Reply{}, protocolError("frame type 0x%02x where reply was expected", uint8(kind))
	}
	return parseReply(payload)
}

func parseReply(payload []byte) (Reply, error) {
	if len(payload) == 0 {
		return Reply{}, protocolError("empty reply frame")
	}
	reply := Reply{Status: Status(payload[0]), Text: string(payload[1:])}
	switch {
	case reply.Status == Answered && len(reply.Text) <= MaxAnswer:
		return reply, nil
	case reply.Status == Answered:
		return Reply{}, protocolError("answer of %d bytes, at most %d are allowed", len(reply.Text), MaxAnswer)
	case reply.Status >= NoAnswer && reply.Status <= IsPassword && reply.Text == "":
		return reply, nil
	}
	return Reply{}, protocolError("reply of status %d with %d bytes", payload[0], len(reply.Text))
}

// Tell shows text and waits for nothing. style is Info or Failure.
func (p Peer) Tell(style Style, text string) error {
	if style != Info && style != Failure {
		return protocolError("prompt style %d does not only tell", style)
	}
	return p.prompt(style, text)
}

func (p Peer) prompt(style Style, text string) error {
	return writeFrame(p.Stream, TypePrompt, []byte{byte(style)}, []byte(text))
}

// End sends the verdict. Nothing follows it.
func (p Peer) End(v Verdict) error {
	return writeFrame(p.Stream, TypeVerdict, []byte{byte(v)})
}
