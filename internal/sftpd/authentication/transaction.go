package authentication

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// awaited is the transaction that a step may wait for. PAM's modules may wait for a
// directory without end, and what is held meanwhile, a login's place among others,
// anybody can take: so it ends with the login's time, which another goroutine says.
type awaited struct {
	mu          sync.Mutex
	transaction *session.Transaction
	// over is closed with the time.
	over chan struct{}
	end  func()
}

func newAwaited() *awaited {
	over := make(chan struct{})
	return &awaited{over: over, end: sync.OnceFunc(func() { close(over) })}
}

// set says what is waited for, nil for nothing. It is false if the time is over.
func (a *awaited) set(transaction *session.Transaction) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.transaction = transaction
	return !a.isOver()
}

func (a *awaited) isOver() bool {
	select {
	case <-a.over:
		return true
	default:
		return false
	}
}

// AwaitsPAM is how long by now a step has waited for PAM, 0 if it waits for the client.
func (l *Login) AwaitsPAM(now time.Time) time.Duration {
	a := l.awaited
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.transaction == nil {
		return 0
	}
	return a.transaction.Busy(now)
}

// Abandon ends what a step waits for of PAM: the login's time is over. Nobody who is in
// is affected.
func (l *Login) Abandon() {
	a := l.awaited
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end()
	if a.transaction != nil {
		a.transaction.Close()
	}
}

// errLate is about a stack of PAM that has not answered when the login's time was over.
var errLate = errors.New("PAM did not answer within sftp.limits.login_grace; a module of the stack waits for something, such as a directory")

// inTime is err, or why there was no other.
func (l *Login) inTime(err error) error {
	if err != nil && !errors.Is(err, session.ErrPAM) && l.awaited.isOver() {
		return errLate
	}
	return err
}

// startTransaction begins the person's PAM transaction.
func (l *Login) startTransaction() error {
	if l.transaction != nil {
		return nil
	}
	begun, err := session.Start(l.shared.Program, l.settings.PAMService, l.user, l.remote.String())
	if err != nil {
		return err
	}
	l.transaction = begun
	if !l.awaited.set(begun) {
		l.dropTransaction()
		return errLate
	}
	return nil
}

// dropTransaction ends a transaction that is not to be gone on with.
func (l *Login) dropTransaction() {
	if l.transaction != nil {
		l.takeTransaction().Close()
	}
}

// takeTransaction gives the transaction to somebody else.
func (l *Login) takeTransaction() *session.Transaction {
	taken := l.transaction
	l.awaited.set(nil)
	l.transaction = nil
	return taken
}

func (l *Login) authenticate(password string) error {
	if err := l.startTransaction(); err != nil {
		return err
	}
	err := l.transaction.Password(l.forPAM(password), l.tellUser)
	return l.known(err)
}

// noPassword is nobody's password: control characters cannot be typed into a
// program that sets one.
const noPassword = "\b\n\r\x7fINCORRECT"

// forPAM is what PAM is given of an answer. Of somebody who may not log in it
// is never the right one: PAM says no late and yes at once, which would tell a
// stranger that a password is root's. It is as long, as hashing takes longer
// for long ones.
func (l *Login) forPAM(answer string) string {
	if l.person != nil {
		return answer
	}
	all := strings.Repeat(noPassword, 1+len(answer)/len(noPassword))
	return all[:max(len(answer), len(noPassword))]
}

// known makes sure that somebody whom only PAM knows does not get in. PAM was
// asked first, so that it takes as long as for anybody.
func (l *Login) known(err error) error {
	err = l.inTime(err)
	switch {
	case l.person != nil:
	case err == nil:
		err = fmt.Errorf("not a user who may log in: %w", l.unknown)
	default:
		err = fmt.Errorf("%w; not a user who may log in: %w", err, l.unknown)
	}
	if err != nil && !errors.Is(err, session.ErrPAM) {
		l.dropTransaction()
	}
	return err
}

// tellUser passes on what PAM tells where it cannot ask.
func (l *Login) tellUser(_ uint8, text string) (string, error) {
	l.tell(text)
	return "", errCannotAsk
}

var errCannotAsk = errors.New("the client cannot be asked")
