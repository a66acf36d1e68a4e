package main

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// visit is one connection, from its acceptance to its end: all that the broker
// knows and has checked of it. Its front can only ask.
type connection struct {
	broker  *broker
	remote  netip.Addr
	toFront *seqpacket.Conn // to the front
	front   *front
	grace   *time.Timer

	engine   *gate.Gate
	settings config.SFTP

	mu     sync.Mutex
	socket int // a copy of the connection, to cut it; -1 once in

	keys          []hostKey // as they were when the front was given the connection
	signed        int       // key exchanges
	sessionID     []byte    // the first thing signed
	hostAlgorithm string    // that it was signed by

	user     string          // fixed by the first step
	person   *session.Person // nil for somebody who is not to log in, and nobody says why
	nobody   error
	proved   bool // a key, in this session
	failures int
	offered  int  // keys
	ended    bool // no step can succeed any more
	penalty  time.Duration

	first       config.FirstFactor // that was proven; "" for none
	unproven    bool               // by the front's word alone
	password    string             // that was right
	dialogue    *dialogue
	prompt      string   // that the dialogue waits at
	expired     bool     // the password, and nothing else is left to ask
	changed     bool     // it was tried to
	told        []string // for the next answer
	transaction *session.Transaction
	in          bool
	worker      *session.Worker
	joining     chan struct{} // closed when crew, or joinErr, is there
	joinErr     error
}

// maxFailures ends a connection, as MaxAuthTries does in sshd.
const maxFailures = 6

// errTurnedAway ends a connection that came to no login.
var errTurnedAway = errors.New("turned away")

// receive takes a new connection.
func (b *broker) receive(conn *net.TCPConn) {
	defer conn.Close()
	b.connections.Add(1)
	defer b.connections.Add(-1)
	remote, ok := netip.AddrFromSlice(conn.RemoteAddr().(*net.TCPAddr).IP)
	if !ok {
		return
	}
	remote = remote.Unmap()
	engine, err := b.current()
	if err != nil {
		b.reportFor(&connection{remote: remote, settings: b.settings().SFTP}, "configuration", err)
		return
	}
	if admission.Listed(remote, engine.Config.SFTP.ProxyProtocol) {
		if remote, err = admission.ProxiedAddress(conn, remote); err != nil {
			b.turnAway(engine.Config.SFTP.PAMService, remote, admission.Refusal{Rule: admission.ByProxy, Reason: err.Error()})
			return
		}
	}
	limits := engine.Config.SFTP.Limits
	if refused := b.admission.Admit(remote, limits); refused != (admission.Refusal{}) {
		b.turnAway(engine.Config.SFTP.PAMService, remote, refused)
		return
	}
	v := &connection{broker: b, remote: remote, engine: engine, settings: engine.Config.SFTP, socket: -1}
	left := sync.OnceFunc(func() {
		if closed := b.admission.Release(remote, limits, v.ending()); closed > 0 {
			// Said once for each time that the address is turned away.
			b.log.Write(admission.Closing(closed).Record(v.settings.PAMService, remote))
		}
	})
	defer left()
	if err := v.handOver(conn, limits.LoginGrace.Duration); err != nil {
		b.reportFor(v, "front", err)
		return
	}
	v.serve(left)
	v.end()
}

// handOver gives the connection to a front.
func (c *connection) handOver(conn *net.TCPConn, grace time.Duration) error {
	file, err := conn.File()
	if err != nil {
		return err
	}
	defer file.Close()
	line, theirs, err := seqpacket.Pair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	fd := int(file.Fd())
	if c.socket, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		line.Close()
		return err
	}
	c.toFront = line
	c.front = c.broker.pick()
	c.grace = time.AfterFunc(grace, func() {
		c.penalize(admission.PenaltyGrace)
		c.cut()
	})
	var w seqpacket.Writer
	if c.keys, err = c.front.give(w.U8(messages.FrontConnection).Text(c.remote.String()).Bytes, fd, int(theirs.Fd())); err != nil {
		c.end()
		return err
	}
	return conn.Close()
}

func (c *connection) penalize(more time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.penalty += more
}

// ending is how the login ended.
func (c *connection) ending() admission.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return admission.Result{Entered: c.in, Penalty: c.penalty}
}

// cut ends the connection whatever its front does.
func (c *connection) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket >= 0 {
		_ = unix.Shutdown(c.socket, unix.SHUT_RDWR)
	}
	_ = c.toFront.Close()
}

// letGo gives up the copy of the connection.
func (c *connection) closeSocket() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket >= 0 {
		unix.Close(c.socket)
		c.socket = -1
	}
}

// serve answers the front until it hangs up. entered is called once the person
// is in.
func (c *connection) serve(entered func()) {
	buffer := make([]byte, messages.MaxSize)
	for {
		message, err := c.ask(buffer)
		if err == nil {
			err = c.answer(message)
		}
		if errors.Is(err, seqpacket.ErrMalformed) || errors.Is(err, seqpacket.ErrTooLarge) {
			c.broker.reportFor(c, "front", err)
		}
		if err != nil {
			if !c.in && (c.user == "" || c.ending().Penalty == 0) {
				c.penalize(admission.PenaltyNothing)
			}
			c.cut()
			return
		}
		if c.in && buffer != nil && len(buffer) == messages.MaxSize {
			entered()
			// What is asked from here on is small, and sessions are many.
			buffer = make([]byte, 2*messages.MaxNote+512)
		}
	}
}

// ask is the next thing that the front asks. It never brings descriptors.
func (c *connection) ask(buffer []byte) ([]byte, error) {
	n, fds, err := c.toFront.Receive(buffer)
	if err != nil {
		return nil, err
	}
	if len(fds) > 0 {
		seqpacket.CloseAll(fds)
		return nil, seqpacket.ErrMalformed
	}
	return buffer[:n], nil
}

func (c *connection) answer(message []byte) error {
	r := seqpacket.NewReader(message)
	op := r.U8()
	switch {
	case op == messages.AskSign:
		public, algorithm, data := r.Blob(), r.Text(), r.Blob()
		if err := r.Done(); err != nil {
			return err
		}
		return c.sign(public, algorithm, data)
	case op == messages.AskUnmatched && c.sessionID == nil && c.user == "":
		return c.unmatched(r)
	case !c.in:
		return c.loginStep(op, r)
	case op == messages.AskSession:
		if err := r.Done(); err != nil {
			return err
		}
		return c.session()
	case op == messages.AskNote:
		return c.note(r)
	case op == messages.AskBytes:
		n, upload := r.U32(), r.Bool()
		if err := r.Done(); err != nil {
			return err
		}
		wait := c.broker.bandwidth.wait(c.person.UID, upload, n, c.settings.Limits.Bandwidth)
		var w seqpacket.Writer
		return c.toFront.Send(w.U8(messages.AnswerBytes).U64(uint64(wait)).Bytes)
	case op == messages.AskHostKey:
		public := r.Blob()
		if err := r.Done(); err != nil {
			return err
		}
		return c.proveHostKey(public)
	}
	return seqpacket.ErrMalformed
}

// is fixes whom the connection is for. Another name later is refused: what was
// proven was proven of the first.
func (c *connection) identify(name string) bool {
	if c.user != "" {
		return c.user == name
	}
	if account.CheckName(name) != nil {
		return false
	}
	c.user = name
	c.person, c.nobody = session.LookUp(name, c.settings.AllowRoot)
	return true
}

// end gives back what the visit holds.
func (c *connection) end() {
	c.grace.Stop()
	c.closeSocket()
	_ = c.toFront.Close()
	if c.dialogue != nil {
		c.dialogue.end()
	}
	c.noteUnchanged()
	if c.joining != nil {
		<-c.joining
	} else if c.transaction != nil {
		c.transaction.Close()
	}
	if c.in {
		c.broker.sessions.Leave(c.person.UID)
		c.broker.bandwidth.forget(c.person.UID)
	}
	if c.worker != nil {
		c.broker.workers.Leave(c.worker)
	}
}

// session gives the front a session of the person's worker.
func (c *connection) session() error {
	<-c.joining
	var w seqpacket.Writer
	w.U8(messages.AnswerSession)
	err := c.joinErr
	fd := -1
	if err == nil {
		fd, err = c.worker.Connect()
	}
	if err != nil {
		c.broker.reportFor(c, "session", err)
		return c.toFront.Send(w.Bool(false).Bytes)
	}
	defer unix.Close(fd)
	return c.toFront.Send(w.Bool(true).Bytes, fd)
}
