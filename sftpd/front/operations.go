package main

import (
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// holdOperations bounds how long the broker is not told what a session did: so much of
// the log is lost with a front.
const holdOperations = 50 * time.Millisecond

// operations gathers what the sessions of a connection did, so that the broker is
// woken once for many small files. What comes after a pause is told at once.
type operations struct {
	tell  func(message []byte) error
	now   func() time.Time
	after func(time.Duration, func())

	mu      sync.Mutex
	held    []byte    // a message, or empty
	told    time.Time // when the last was sent
	waiting bool      // late will be called
}

func newOperations(tell func(message []byte) error) *operations {
	return &operations{tell: tell, now: time.Now, after: func(wait time.Duration, do func()) { time.AfterFunc(wait, do) }}
}

// add is called with each event of a session.
func (o *operations) add(e sftp.Event) {
	problem := ""
	if e.Err != nil {
		problem = clip(e.Err.Error(), messages.MaxProblem)
	}
	var w fields.Writer
	w.Text(clip(e.Op, messages.MaxOp)).Text(clip(e.Path, messages.MaxText)).Text(clip(e.Target, messages.MaxText)).U64(e.Read).U64(e.Written).Text(problem)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held)+len(w.Bytes) > messages.MaxOperations {
		o.send()
	}
	if len(o.held) == 0 {
		o.held = append(o.held, messages.TellOperations)
	}
	o.held = append(o.held, w.Bytes...)
	wait := holdOperations - o.now().Sub(o.told)
	switch {
	case wait <= 0:
		o.send()
	case !o.waiting:
		o.waiting = true
		o.after(wait, o.late)
	}
}

// late sends what was held for as long as it may be. Connections that pause have no
// buffer.
func (o *operations) late() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = false
	o.send()
	o.held = nil
}

// flush sends what is held: a session has ended.
func (o *operations) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send()
}

// send must be called with the lock. Nobody is left to tell when the broker is gone.
func (o *operations) send() {
	if len(o.held) == 0 {
		return
	}
	_ = o.tell(o.held)
	o.held, o.told = o.held[:0], o.now()
}

func clip(text string, most int) string { return text[:min(len(text), most)] }
