package authentication

import (
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// state is how far a login is: one of those below, in their order. A step takes
// those that it goes on from, so one without a state lets nobody in.
type state interface{ isState() }

// beforeFirst is where no first factor is proven.
type beforeFirst struct{}

// beforeCode is where one is, and the engine waits for an answer.
type beforeCode struct {
	first    factor
	dialogue *dialogue
	prompt   string
}

// passwordExpired is where both were right, and a new password is all that is
// left to ask for.
type passwordExpired struct{}

// Entered is where the person is in.
type Entered struct {
	UID    uint32
	opened chan struct{} // closed when worker, or err, is there
	worker *session.Worker
	err    error
}

func (beforeFirst) isState()     {}
func (*beforeCode) isState()     {}
func (passwordExpired) isState() {}
func (*Entered) isState()        {}

// factor is a first factor that was right; the zero value is none.
type factor struct {
	kind     config.FirstFactor
	unproven bool // by the front's word alone
	password string
}

// beforeFirst says whether no first factor was proven.
func (l *Login) beforeFirst() bool {
	_, before := l.state.(beforeFirst)
	return before
}

// Entered is nil until the person is in, as before the login has begun.
func (l *Login) Entered() *Entered {
	if l == nil {
		return nil
	}
	entered, _ := l.state.(*Entered)
	return entered
}

// Connect gives a session of the person's worker.
func (e *Entered) Connect() (fd int, err error) {
	if <-e.opened; e.err != nil {
		return -1, e.err
	}
	return e.worker.Connect()
}
