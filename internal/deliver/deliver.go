// Package deliver says what it takes to send a code, or the link of an invitation, to
// somebody: the message, what became of it, and who can send it.
//
// The entry points are [Sender] and [Program]. It promises that printing a
// message never shows its code or link, and that a [Delivery] has nothing which the
// screen of a stranger, or a log, must not have. What speaks to mail servers
// and gateways is in package transport, which a forked core does not link.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Channel is a way to a person.
type Channel string

// The ways there are.
const (
	Email Channel = "email"
	SMS   Channel = "sms"
)

// Message is a code, or a link, and where it goes.
type Message struct {
	// Channel is what is tried first. SMS falls back to email.
	Channel Channel `json:"channel"`
	// User, Service, Remote and Host say in the text what the code is for.
	User    string `json:"user"`
	Service string `json:"service"`
	Remote  string `json:"remote"` // "" if the login comes from the machine itself
	Host    string `json:"host"`
	// Email and Phone are the person's, "" where there is none: then that
	// channel is not used. They are as account.CheckEmail and CheckPhone want.
	Email string `json:"email"`
	Phone string `json:"phone"`
	// Code is the secret, or else Link is, which goes by email alone.
	Code string `json:"code"`
	Link string `json:"link,omitempty"`
	// Expires is when that ceases to be good.
	Expires time.Time `json:"expires"`
	// Manage says that the link is for somebody who is enrolled.
	Manage bool `json:"manage,omitempty"`
	// Change says in place of code and link what was changed At, in a sentence. It goes by
	// email alone, to the person, or with Report to whoever looks after the machine.
	Change string    `json:"change,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Report bool      `json:"report,omitempty"`
	// Language is the tag of the language that the person is told of a change in, or gets a
	// link in with Manage; "" for English.
	Language string `json:"language,omitempty"`
}

// What says what a message is, in a word.
func (m Message) What() string {
	switch {
	case m.Link != "":
		return "link"
	case m.Change != "":
		return "change"
	}
	return "code"
}

// Format implements fmt.Formatter for every verb, so that no log gets the code or
// the link by way of a message.
func (m Message) Format(state fmt.State, _ rune) {
	fmt.Fprintf(state, "a %s for %q by %s to %s or %s", m.What(), m.User, m.Channel, MaskEmail(m.Email), MaskPhone(m.Phone))
}

// Delivery is what became of a message that was sent.
type Delivery struct {
	// Channel is the one that it took, To where it went, masked.
	Channel Channel `json:"channel"`
	To      string  `json:"to"`
	// Failed says why the first channel failed, "" if it did not.
	Failed string `json:"failed"`
}

// Sender sends messages. It returns once a server, or a gateway, has taken the
// message. An error means that no channel took the message for
// certain; it has neither codes nor passwords, nor a whole address or number.
type Sender interface {
	Send(ctx context.Context, message Message) (Delivery, error)
}

// ErrNotSent is wrapped by the error of a Sender where it is known that nobody has taken the
// message. Where it is not known, as an answer was lost, it is not.
var ErrNotSent = errors.New("nobody has taken the message")

// NotSent has an error say so.
func NotSent(err error) error { return notSent{err} }

type notSent struct{ error }

func (n notSent) Unwrap() error      { return n.error }
func (notSent) Is(target error) bool { return target == ErrNotSent }

// Broken is a Sender that could not be set up; Err says why.
type Broken struct{ Err error }

// Send implements Sender.
func (b Broken) Send(context.Context, Message) (Delivery, error) {
	return Delivery{}, NotSent(b.Err)
}

// hidden stands for what a mask leaves out.
const hidden = "…"

// MaskEmail shows of an address what its owner recognises: the first and the
// last character before the @, and the domain. Short names lose more.
func MaskEmail(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ends(address, 0, 0)
	}
	return MaskName(address[:at]) + Clean(address[at:], 80)
}

// MaskName shows of a login name what its owner recognises.
func MaskName(name string) string {
	if n := utf8.RuneCountInString(name); n < 4 {
		return ends(name, min(n/2, 1), 0)
	}
	return ends(name, 1, 1)
}

// MaskPhone shows of a number its country, as far as three characters tell, and
// its last three digits.
func MaskPhone(number string) string {
	if len(number) < 9 {
		return ends(number, 0, min(2, len(number)/4))
	}
	return ends(number, 3, 3)
}

// ends keeps the first and the last characters of text. It must be longer.
func ends(text string, first, last int) string {
	if text == "" {
		return "nowhere"
	}
	runes := []rune(text)
	return Clean(string(runes[:first]), first) + hidden + Clean(string(runes[len(runes)-last:]), last)
}

// Clean makes text fit for a prompt or a log: one line of at most that many
// characters, which are printable. What comes from far away may have others.
func Clean(text string, most int) string {
	var clean strings.Builder
	n := 0
	for _, r := range text {
		if n == most {
			clean.WriteString(hidden)
			break
		}
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			r = '?'
		}
		clean.WriteRune(r)
		n++
	}
	return clean.String()
}
