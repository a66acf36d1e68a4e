// Package portalwire is what the page for people asks the verifier, and its answers: one
// request and one answer a connection, each a JSON value, over a Unix socket.
//
// The entry points are [Ask] for the page, and [Serve] for who answers. It promises that
// neither side takes more than [MaxMessage] bytes or waits for the other one for good,
// that what was done is answered however long it took, that a word which is not known is
// refused, and that printing a message shows nothing secret of it.
package portalwire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// MaxMessage bounds a request and an answer, in bytes. It is far above what either
	// needs: what many requests hold in memory that never end is a multiple of it.
	MaxMessage = 16 << 10
	// Patience is how long what is asked may take: longer than a secret file's lock is
	// waited for, and then a ledger in etcd for each of the ten questions of a Confirm.
	// Recovery codes are shown once, and must find the page still there.
	Patience = fileLock + 10*ledgerTimeout
	// Transfer is how long a request may take to come, and an answer.
	Transfer = 5 * time.Second
)

// maxTag is more than the tag of any language has that there are texts for.
const maxTag = 35

const (
	fileLock      = 10 * time.Second
	ledgerTimeout = 3 * time.Second // what ledger.timeout is unless it is set
)

// Op is what is asked.
type Op string

// What can be asked.
const (
	// Open says what has become of a link, for a GET.
	Open Op = "open"
	// Begin makes a key for whoever pressed the button of a link.
	Begin Op = "begin"
	// Resume shows the same key once more.
	Resume Op = "resume"
	// Confirm has a device count by its first code.
	Confirm Op = "confirm"
)

// Request is what the page asks. Remote is the browser's address, and Language the tag of
// the language in which the page speaks to it, for mails.
type Request struct {
	Op             Op     `json:"op"`
	Remote         string `json:"remote"`
	Link           string `json:"link,omitempty"`
	BrowserSession string `json:"visit,omitempty"`
	First          string `json:"first,omitempty"`
	Current        string `json:"current,omitempty"`
	Manage         Manage `json:"manage,omitzero"`

	Language string `json:"language,omitempty"`
}

// Answer is what the verifier says. One of Page, Setup, Enrolled and what is in Managed is
// set, or Refused, which may come with a Setup.
type Answer struct {
	Page     *Page     `json:"page,omitempty"`
	Setup    *Setup    `json:"setup,omitempty"`
	Enrolled *Enrolled `json:"enrolled,omitempty"`
	Managed  *Managed  `json:"managed,omitempty"`
	// Refused says why, in a word that the page has a text for.
	Refused string `json:"refused,omitempty"`
	// Until is when a lock ends, if that is why; or when the link was used or cancelled, or
	// ended.
	Until time.Time `json:"until,omitzero"`
}

// Page is what a GET of a link may show.
type Page struct {
	State string    `json:"state"`
	At    time.Time `json:"at,omitzero"`
	Name  string    `json:"name"` // masked
}

// Setup is what a person needs to set up a device.
type Setup struct {
	BrowserSession string    `json:"visit"`
	URI            string    `json:"uri"`
	Key            string    `json:"key"`
	ID             string    `json:"id"`
	Digits         int       `json:"digits"`
	Period         int       `json:"period"`
	Algorithm      string    `json:"algorithm"`
	Needs          bool      `json:"needs"` // a code of a device that counts
	Ends           time.Time `json:"ends"`
}

// Enrolled is what became of a device that counts. The codes can be shown this once.
type Enrolled struct {
	ID            string   `json:"id"`
	Replaced      bool     `json:"replaced"`
	RecoveryCodes []string `json:"recovery_codes,omitempty"`
	Unseen        int      `json:"unseen"` // wrong codes that the person was not told of
}

// Format implements fmt.Formatter for every verb, so that no log gets a link or a code.
func (r Request) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "a request to %q", string(r.Op)) }

// Format implements fmt.Formatter in the same way.
func (a Answer) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "an answer (%q)", a.Refused) }

// Format implements fmt.Formatter in the same way.
func (s Setup) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "the setup of %q", s.ID) }

// Format implements fmt.Formatter in the same way.
func (e Enrolled) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "the enrollment of %q", e.ID) }

// check says whether a request has what its op needs, and nothing else.
func (r Request) check() error {
	if len(r.Language) > maxTag {
		return errors.New("the language's tag is too long")
	}
	if known, err := r.checkManage(); known {
		return err
	}
	link, session, codes := r.Link != "", r.BrowserSession != "", r.First != "" || r.Current != ""
	var fits bool
	switch r.Op {
	case Open, Begin:
		fits = link && !session && !codes
	case Resume:
		fits = !link && session && !codes
	case Confirm:
		fits = !link && session
	default:
		return fmt.Errorf("unknown op %q", string(r.Op))
	}
	if !fits || r.Manage != (Manage{}) {
		return fmt.Errorf("the fields of op %q are not those that it needs", string(r.Op))
	}
	return nil
}

func (a Answer) check() error {
	set := a.Managed.set()
	for _, ok := range []bool{a.Page != nil, a.Setup != nil && a.Refused == "", a.Enrolled != nil, a.Refused != ""} {
		if ok {
			set++
		}
	}
	if set != 1 || a.Managed != nil && a.Managed.set() != 1 {
		return errors.New("an answer must have one result, or why there is none")
	}
	return nil
}

// send writes a message and a line end.
func send(to io.Writer, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if len(text) >= MaxMessage {
		return fmt.Errorf("send: %d bytes, expected less than %d", len(text), MaxMessage)
	}
	if _, err := to.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive reads a message, which must be all that the other side writes.
func receive(from io.Reader, message any) error {
	text, err := io.ReadAll(io.LimitReader(from, MaxMessage+1))
	switch {
	case err != nil:
		return fmt.Errorf("receive: %w", err)
	case len(text) > MaxMessage:
		return fmt.Errorf("receive: over %d bytes", MaxMessage)
	case len(text) == 0 || text[len(text)-1] != '\n':
		return fmt.Errorf("receive: %w", io.ErrUnexpectedEOF)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	// What json says of a value may quote it.
	if decoder.Decode(message) != nil {
		return errors.New("receive: expected one JSON value with known names")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("receive: expected one JSON value and nothing behind it")
	}
	return nil
}
