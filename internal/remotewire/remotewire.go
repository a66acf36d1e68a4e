// Package remotewire speaks the frames between machines: those by which a client
// has a server decide a login. They have the form of package wire's, and stand
// around them.
//
// The client opens with one Take frame. The server answers Taken, or Busy or Full,
// which end it. Until Taken the client may turn to another server, and the server does
// nothing that anybody can see. Then the client sends one Begin frame, and the
// engine's prompts and the person's replies go to and fro as on one machine. Before
// the verdict comes a Rule frame. After it the next Take may come.
//
// The entry points are [ReadTake], [ReadAnswer], [ReadBegin] and [Relay]. The
// package promises that parsing never allocates more than a frame's bound, never
// accepts a field twice, and never accepts what it does not know.
package remotewire

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/otpgate/otpgate/internal/wire"
)

// Version is the first byte of a Take. Machines of different versions refuse each
// other instead of guessing.
const Version = 1

// The types of frames. The client sends those below 0x30, the server the others.
const (
	TypeTake  wire.Type = 0x20
	TypeBegin wire.Type = 0x21
	TypeTaken wire.Type = 0x30
	TypeBusy  wire.Type = 0x31
	TypeRule  wire.Type = 0x32
	TypeFull  wire.Type = 0x33
)

// Bounds in bytes. A client's name is one of [CheckClient].
const (
	maxClient = 64
	maxText   = 256
	idSize    = 8
	takeSize  = 1 + idSize + 1 // without the client's name
)

// ID names one login in the logs of both machines.
type ID [idSize]byte

// NewID draws one.
func NewID() (id ID) {
	_, _ = rand.Read(id[:]) // never fails, see its documentation
	return id
}

func (i ID) String() string { return hex.EncodeToString(i[:]) }

// Take asks whether a server takes a login.
type Take struct {
	ID ID
	// Unprivileged says that anybody on the client can begin such a login: its program is
	// not root's, or the password is still to be checked. They count apart.
	Unprivileged bool
	// Client is the name of the client. The gateway alone says so, to its own
	// machine's verifier; from a client it is empty.
	Client string
}

// Answer is what a server says to a Take.
type Answer struct {
	// Taken says that the server takes the login.
	Taken bool
	// Ledger names what the server remembers used codes in.
	Ledger string
	// Clock is what the server's clock says with Taken, in milliseconds. No login goes by
	// it: a client that examines its servers sees by it that their clocks differ, and that
	// one takes codes which another does not. The zero value is none.
	Clock time.Time
	// Busy says why the login is not taken.
	Busy string
	// Full says that it is not because the client has too many logins open, or began
	// too many: the server can be reached, and takes its next ones.
	Full bool
}

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", wire.ErrProtocol, fmt.Sprintf(format, args...))
}

// CheckClient refuses a name that no client can have.
func CheckClient(name string) error {
	ok := name != "" && len(name) <= maxClient && name[0] != '.' && name[0] != '-'
	for i := range len(name) {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_')
	}
	if !ok {
		return fmt.Errorf("expected up to %d of a-z, 0-9, ., - and _, a letter or digit first", maxClient)
	}
	return nil
}

// checkText refuses what must not reach a log as it is.
func checkText(text string) error {
	if len(text) > maxText || !utf8.ValidString(text) {
		return protocolError("a text of %d bytes, expected UTF-8 and at most %d", len(text), maxText)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return protocolError("a text with a character that cannot be printed")
		}
	}
	return nil
}

// WriteTake writes a Take.
func WriteTake(w io.Writer, t Take) error {
	unprivileged := byte(0)
	if t.Unprivileged {
		unprivileged = 1
	}
	return wire.WriteFrame(w, TypeTake, []byte{Version}, t.ID[:], []byte{unprivileged}, []byte(t.Client))
}

// ReadTake reads a Take.
func ReadTake(r io.Reader) (Take, error) {
	_, payload, err := wire.ReadFrame(r, takeSize+maxClient, TypeTake)
	if err != nil {
		return Take{}, err
	}
	if len(payload) < takeSize || payload[0] != Version || payload[takeSize-1] > 1 {
		return Take{}, protocolError("take frame is not of version %d", Version)
	}
	take := Take{ID: ID(payload[1 : 1+idSize]), Unprivileged: payload[takeSize-1] == 1, Client: string(payload[takeSize:])}
	if take.Client != "" {
		if err := CheckClient(take.Client); err != nil {
			return Take{}, protocolError("client's name: %v", err)
		}
	}
	return take, nil
}

// WriteAnswer writes the answer to a Take. A reason that is too long is cut.
func WriteAnswer(w io.Writer, a Answer) error {
	if a.Taken {
		return wire.WriteFrame(w, TypeTaken, clockBytes(a.Clock), []byte(a.Ledger))
	}
	kind := TypeBusy
	if a.Full {
		kind = TypeFull
	}
	return wire.WriteFrame(w, kind, []byte(printable(a.Busy)))
}

// ReadAnswer reads the answer to a Take.
func ReadAnswer(r io.Reader) (Answer, error) {
	kind, payload, err := wire.ReadFrame(r, clockSize+maxText, TypeTaken, TypeBusy, TypeFull)
	if err != nil {
		return Answer{}, err
	}
	var clock time.Time
	if kind == TypeTaken {
		if clock, payload, err = cutClock(payload); err != nil {
			return Answer{}, err
		}
	}
	text := string(payload)
	if err := checkText(text); err != nil {
		return Answer{}, err
	}
	if kind != TypeTaken {
		return Answer{Busy: text, Full: kind == TypeFull}, nil
	}
	if text == "" {
		return Answer{}, protocolError("a server that does not name its ledger")
	}
	return Answer{Taken: true, Ledger: text, Clock: clock}, nil
}

// Ask asks whether whoever is at the other end of conn takes a login.
func Ask(conn io.ReadWriter, t Take) (Answer, error) {
	if err := WriteTake(conn, t); err != nil {
		return Answer{}, err
	}
	return ReadAnswer(conn)
}

// WriteRule writes the rule that decided a login.
func WriteRule(w io.Writer, rule string) error {
	return wire.WriteFrame(w, TypeRule, []byte(printable(rule)))
}

// printable makes a text one that is read again.
func printable(text string) string {
	var b []byte
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		if len(b)+utf8.RuneLen(r) > maxText {
			break
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}
