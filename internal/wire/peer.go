package wire

import (
	"io"
	"strings"
)

// Style says how the front shows a prompt.
type Style uint8

// The styles. EchoOff and EchoOn ask and are answered; Info and Failure only
// tell. Tail asks the front itself for the end of the password: its text is one
// byte that says how many bytes, one that says after how many of them each time
// a dash comes, 0 if none does, and then the characters, all of them printable
// ASCII, that the others may be of.
const (
	EchoOff Style = 1
	EchoOn  Style = 2
	Info    Style = 3
	Failure Style = 4
	Tail    Style = 5
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

// MaxTail is the longest end of a password in bytes that a front gives.
const MaxTail = 32

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
	Split    Verdict = 5 // PAM_IGNORE: a code is taken off the password; one byte follows, how many bytes it has
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
	return p.reply()
}

// Tail asks for the last n bytes of the password. found is false, and the
// front keeps them, unless all are in alphabet, but for a dash behind each group
// of them if group is not 0, and more is left of the password. Only a front
// whose Start says Split has an answer.
func (p Peer) Tail(n, group int, alphabet string) (text string, found bool, err error) {
	if n < 1 || n > MaxTail || group < 0 || group >= n {
		return "", false, protocolError("end of %d bytes in groups of %d, expected 1 to %d and less", n, group, MaxTail)
	}
	if err := p.prompt(Tail, string([]byte{byte(n), byte(group)})+alphabet); err != nil {
		return "", false, err
	}
	reply, err := p.reply()
	switch {
	case err != nil:
		return "", false, err
	case reply.Status == NoAnswer:
		return "", false, nil
	case reply.Status != Answered || len(reply.Text) != n || !fits(reply.Text, group, alphabet):
		return "", false, protocolError("no end of %d bytes as it was asked for, but %d bytes and status %d", n, len(reply.Text), reply.Status)
	}
	return reply.Text, true, nil
}

func fits(text string, group int, alphabet string) bool {
	for i := range len(text) {
		allowed := alphabet
		if group > 0 && i%(group+1) == group {
			allowed = "-"
		}
		if strings.IndexByte(allowed, text[i]) < 0 {
			return false
		}
	}
	return true
}

func (p Peer) reply() (Reply, error) {
	kind, payload, err := readFrame(p.Stream, 1+MaxAnswer)
	if err != nil {
		return Reply{}, err
	}
	if kind != TypeReply {
		return Reply{}, protocolError("frame type 0x%02x where reply was expected", uint8(kind))
	}
	return ParseReply(payload)
}

// ParseReply reads the payload of a reply.
func ParseReply(payload []byte) (Reply, error) {
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
	return WriteFrame(p.Stream, TypePrompt, []byte{byte(style)}, []byte(text))
}

// End sends the verdict, any but Split. Nothing follows it.
func (p Peer) End(v Verdict) error {
	if v == Split {
		return protocolError("a split without its length")
	}
	return WriteFrame(p.Stream, TypeVerdict, []byte{byte(v)})
}

// EndSplit sends the verdict Split: the last n bytes of the password, which
// Tail has given, are a code. Nothing follows it.
func (p Peer) EndSplit(n int) error {
	if n < 1 || n > MaxTail {
		return protocolError("split of %d bytes, expected 1 to %d", n, MaxTail)
	}
	return WriteFrame(p.Stream, TypeVerdict, []byte{byte(Split), byte(n)})
}
