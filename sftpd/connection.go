package main

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ratelimit"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/authentication"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// connection is one client, from its acceptance to its end: what the broker
// knows of it beside its login. Its front can only ask.
type connection struct {
	broker   *broker
	remote   netip.Addr
	settings config.SFTP
	login    *authentication.Login
	toFront  *seqpacket.Conn
	grace    *time.Timer

	mu      sync.Mutex
	socket  int // a copy of the client's, to cut it; -1 once in
	penalty time.Duration
	excused bool // nothing more counts against the address

	keys          []hostKey         // as they were when the front was given the connection
	exchanges     int               // of keys
	pace          ratelimit.Limiter // of those after the login
	proofs        int               // of host keys
	sessionID     []byte            // the first thing signed
	hostAlgorithm string            // that it was signed by
}

// errTurnedAway ends a connection that came to no login.
var errTurnedAway = errors.New("turned away")

// accept lets connections in until the listener is closed.
func (b *broker) accept(l *net.TCPListener) {
	daemon.AcceptTCP(l, func(conn *net.TCPConn) { go b.receive(conn) }, b.acceptFault)
}

// acceptFault says that there are no descriptors or no memory just now.
func (b *broker) acceptFault(reason string) {
	limitedRecorder{b}.Write(audit.Record{Service: b.settings().SFTP.PAMService, Protocol: "sftp", Verdict: "fault", Rule: "accept", Reason: reason})
}

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
		b.fault(remote, "configuration", err)
		return
	}
	settings := engine.Config.SFTP
	if admission.Listed(remote, settings.ProxyProtocol) {
		if remote, err = admission.ProxiedAddress(conn, remote); err != nil {
			b.turnAway(settings.PAMService, remote, admission.Refusal{Rule: admission.ByProxy, Reason: err.Error()})
			return
		}
	}
	if refused := b.admission.Admit(remote, settings.Limits); refused != (admission.Refusal{}) {
		b.turnAway(settings.PAMService, remote, refused)
		return
	}
	c := &connection{broker: b, remote: remote, settings: settings, socket: -1}
	left := sync.OnceFunc(func() {
		if closed := b.admission.Release(remote, settings.Limits, c.result()); closed > 0 {
			// Said once for each time that the address is turned away.
			b.log.Write(admission.Closing(closed).Record(settings.PAMService, remote))
		}
	})
	defer left()
	if err := c.handOver(conn, engine); err != nil {
		b.fault(remote, "front", err)
		return
	}
	c.serve(left)
	c.end()
}

// fault is for what goes wrong before a login begins.
func (b *broker) fault(remote netip.Addr, rule string, err error) {
	b.authenticator.Limited.Write(audit.Record{Service: b.settings().SFTP.PAMService, Protocol: "sftp", Remote: remote.String(), Verdict: "fault", Rule: rule, Reason: err.Error()})
}

// handOver gives the connection to a front.
func (c *connection) handOver(conn *net.TCPConn, engine *gate.Gate) error {
	file, err := conn.File()
	if err != nil {
		return err
	}
	defer file.Close()
	toFront, theirs, err := seqpacket.Pair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	fd := int(file.Fd())
	if c.socket, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		toFront.Close()
		return err
	}
	c.begin(engine, toFront)
	if c.keys, err = c.broker.pick().give(fields.Message(messages.FrontConnection).Text(c.remote.String()).Bytes, fd, int(theirs.Fd())); err != nil {
		c.end()
		return err
	}
	return conn.Close()
}

// begin begins the login, which has its time.
func (c *connection) begin(engine *gate.Gate, toFront *seqpacket.Conn) {
	c.toFront, c.login = toFront, c.broker.authenticator.Begin(c.remote, c.broker.deciding(engine), c.settings, toFront)
	c.grace = time.AfterFunc(c.settings.Limits.LoginGrace.Duration, c.late)
}

// leastHang is longer than PAM takes to refuse a password, which it delays on purpose.
const leastHang = 10 * time.Second

// late ends a login whose time is over. A directory that does not answer has everybody
// late, and would have all addresses turned away once it does. But a client that keeps its
// guess until the time is almost over is late by its own fault.
func (c *connection) late() {
	hang := max(leastHang, c.settings.Limits.LoginGrace.Duration/2)
	if c.login.AwaitsPAM(c.broker.now()) >= hang {
		c.excuse()
	}
	c.penalize(admission.PenaltyGrace)
	c.login.Abandon()
	c.cut()
}

func (c *connection) penalize(more time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.excused {
		c.penalty += more
	}
}

// excuse has nothing count against the address from here on.
func (c *connection) excuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.excused = true
}

// result is how the login ended.
func (c *connection) result() admission.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	result := admission.Result{Penalty: c.penalty}
	if in := c.login.Entered(); in != nil {
		result.Entered, result.UID = true, in.UID
	}
	return result
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

// closeSocket gives up the copy of the connection.
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
		message, err := c.toFront.ReceiveMessage(buffer)
		if err == nil {
			err = c.answer(message)
		}
		if errors.Is(err, fields.ErrMalformed) || errors.Is(err, seqpacket.ErrTooLarge) {
			c.login.Fault("front", err)
		}
		in := c.login.Entered() != nil
		if err != nil {
			if !in && (c.login.User() == "" || c.result().Penalty == 0) {
				c.penalize(admission.PenaltyNothing)
			}
			c.cut()
			return
		}
		if in && len(buffer) == messages.MaxSize {
			entered()
			// What is asked from here on is small, and sessions are many.
			buffer = make([]byte, messages.MaxOperations)
		}
	}
}

func (c *connection) answer(message []byte) error {
	r := fields.NewReader(message)
	op, in := r.U8(), c.login.Entered()
	switch {
	case op == messages.AskSign:
		public, algorithm, data := r.Blob(), r.Text(), r.Blob()
		return r.Then(func() error { return c.sign(public, algorithm, data) })
	case op == messages.TellUnmatched && c.sessionID == nil && c.login.User() == "":
		return c.unmatched(r)
	case in == nil:
		return c.step(op, r)
	case op == messages.AskSession:
		return r.Then(func() error { return c.session(in) })
	case op == messages.TellOperations:
		return c.note(r)
	case op == messages.AskBytes:
		n, upload := r.U32(), r.Bool()
		return r.Then(func() error {
			wait := c.broker.bandwidth.wait(in.UID, upload, n, c.settings.Limits.Bandwidth)
			return c.toFront.Send(fields.Message(messages.AnswerBytes).U64(uint64(wait)).Bytes)
		})
	case op == messages.AskHostKey:
		public := r.Blob()
		return r.Then(func() error { return c.proveHostKey(public) })
	}
	return fields.ErrMalformed
}

// step does a step of the login.
func (c *connection) step(op uint8, r *fields.Reader) error {
	answer, outcome, err := c.login.Step(op, r, c.sessionID)
	if err != nil {
		return err
	}
	switch {
	case c.login.Entered() != nil:
		c.grace.Stop()
		c.closeSocket()
	// Clients offer all the keys they have before they find the right one.
	case op != messages.AskOffer && (outcome == messages.Denied || outcome == messages.Ended):
		c.penalize(admission.PenaltyFailed)
	}
	return c.toFront.Send(answer)
}

// session gives the front a session of the person's worker.
func (c *connection) session(in *authentication.Entered) error {
	w := fields.Message(messages.AnswerSession)
	fd, err := in.Connect()
	if err != nil {
		c.login.Fault("session", err)
		return c.toFront.Send(w.Bool(false).Bytes)
	}
	defer unix.Close(fd)
	return c.toFront.Send(w.Bool(true).Bytes, fd)
}

// note writes lines about transfers and changes. Who it was is the broker's
// word, what it was the front's.
func (c *connection) note(r *fields.Reader) error {
	var events []audit.Event
	for len(events) == 0 || r.More() {
		events = append(events, audit.Event{User: c.login.User(), Service: c.settings.PAMService, Remote: c.remote.String(),
			Op: r.Text(), Path: r.Text(), Target: r.Text(), Read: r.U64(), Written: r.U64(), Problem: r.Text()})
	}
	if err := r.Done(); err != nil {
		return err
	}
	for _, event := range events {
		c.broker.log.Event(event)
	}
	return nil
}

// end gives back what the connection holds.
func (c *connection) end() {
	c.grace.Stop()
	c.closeSocket()
	_ = c.toFront.Close()
	c.login.End()
	if in := c.login.Entered(); in != nil {
		c.broker.bandwidth.forget(in.UID)
	}
}
