// Package authentication decides who is in: it takes the login of one connection
// to the SFTP server by a password, or by a key or a certificate with the proof that
// the client has it, and then the code.
//
// The entry points are [Authenticator.Begin] and [Login.Step]. In whatever order
// the steps come, nobody is in without a first factor that was checked here and,
// where code_after says so, the engine's verdict after it: what asks for the
// steps may be a front that somebody has taken over.
package authentication

import (
	"context"
	"net/netip"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// Authenticator is what all logins share.
type Authenticator struct {
	Program string     // of the login process
	Log     audit.Sink // of decisions
	Limited audit.Sink // of what strangers can cause as often as they like
	Pause   func(time.Duration)
	Now     func() time.Time
	Workers session.Workers

	lookups  lookups
	commands lookups // of keys_command
	replays  replays
}

// Engine decides whether a code is needed, and is right: a [gate.Gate], or who asks
// one elsewhere.
type Engine interface {
	// Login decides a login whose first factor was right. Doubt denies.
	Login(ctx context.Context, request gate.Request, conversation gate.Conversation) gate.Verdict
	// Split says how many bytes at the end of a password are a code. The password
	// counts as wrong after an error.
	Split(ctx context.Context, request gate.Request, tails gate.Tails) (n int, err error)
	// EndsLikeCode says whether Split may take something off such a password,
	// whoever it is of.
	EndsLikeCode(tails gate.Tails) (bool, error)
}

// Login is the login of one connection, until its end: all that is known and
// was checked of it.
type Login struct {
	shared   *Authenticator
	remote   netip.Addr
	engine   Engine
	settings config.SFTP
	front    *seqpacket.Conn
	until    time.Time // that it may take

	user    string          // fixed by the first step
	person  *session.Person // nil for somebody who is not to log in, and nobody says why
	unknown error           // why, for the log

	state       state
	ended       bool // no step can succeed any more
	failures    int
	offered     int      // keys
	proved      bool     // a key, in this session
	told        []string // for the next answer
	said        []string // the same, by the engine with its verdict
	transaction *session.Transaction
	awaited     *awaited
}

// Begin begins the login of a connection, whose front can be asked.
func (a *Authenticator) Begin(remote netip.Addr, engine Engine, settings config.SFTP, front *seqpacket.Conn) *Login {
	return &Login{shared: a, remote: remote, engine: engine, settings: settings, front: front, until: a.Now().Add(settings.Limits.LoginGrace.Duration), state: beforeFirst{}, awaited: newAwaited()}
}

// context bounds what the engine does for the login.
func (l *Login) context() (context.Context, context.CancelFunc) {
	return context.WithDeadline(context.Background(), l.until.Add(endTimeout))
}

// User is whom the login is for, "" before its first step.
func (l *Login) User() string { return l.user }

// Failures is how many steps have failed.
func (l *Login) Failures() int { return l.failures }

// maxFailures ends a login, as MaxAuthTries does in sshd.
const maxFailures = 6

// Step does one step and returns the answer to the front, and the outcome that
// it tells. sessionID is what the server has signed first, nil for nothing.
func (l *Login) Step(op uint8, r *fields.Reader, sessionID []byte) (answer []byte, outcome uint8, err error) {
	user := r.Text()
	var step func() (uint8, error)
	switch op {
	case messages.AskOffer:
		key := r.Blob()
		step = func() (uint8, error) { return l.offer(key), nil }
	case messages.AskProve:
		proof := proof{key: r.Blob(), algorithm: r.Text(), signature: r.Blob(), format: r.Text(), sessionID: sessionID}
		step = func() (uint8, error) { return l.prove(proof), nil }
	case messages.AskPassword:
		password := r.Text()
		step = func() (uint8, error) { return l.tryPassword(password), nil }
	case messages.AskInteractive:
		step = l.interactive
	default:
		return nil, 0, fields.ErrMalformed
	}
	if err := r.Done(); err != nil {
		return nil, 0, err
	}
	outcome = messages.Ended
	if !l.ended && l.identify(user) {
		if outcome, err = step(); err != nil {
			return nil, 0, err
		}
	}
	answer, outcome = l.settle(outcome)
	return answer, outcome, nil
}

// settle counts a failure and is the answer with the outcome.
func (l *Login) settle(outcome uint8) (answer []byte, settled uint8) {
	if outcome == messages.Denied || outcome == messages.Ended {
		if l.failures++; l.failures >= maxFailures {
			outcome = messages.Ended
		}
	}
	l.ended = l.ended || outcome == messages.Ended
	if _, expired := l.state.(passwordExpired); expired && outcome == messages.Partial {
		l.tell("The password has expired. It can be changed now, by the method keyboard-interactive.")
	}
	w := fields.Message(messages.AnswerOutcome).U8(outcome).Texts(l.takeMessages())
	return w.Bytes, outcome
}

// identify fixes whom the login is for. Another name later is refused: what was
// proven was proven of the first.
func (l *Login) identify(name string) bool {
	if l.user != "" {
		return l.user == name
	}
	if account.CheckName(name) != nil {
		return false
	}
	l.user = name
	l.person, l.unknown = session.LookUp(name, l.settings.AllowRoot)
	return true
}

// End gives back what the login holds.
func (l *Login) End() {
	switch s := l.state.(type) {
	case *beforeCode:
		s.dialogue.end()
	case passwordExpired:
		l.noteUnchanged()
	case *Entered:
		<-s.opened
		if s.worker != nil {
			l.shared.Workers.Leave(s.worker) // which may count from here on
		}
		l.shared.Workers.Counts.Leave(s.UID)
	}
	l.dropTransaction()
}
