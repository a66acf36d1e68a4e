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
	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// visit is one connection, from its acceptance to its end: all that the broker
// knows and has checked of it. Its front can only ask.
type visit struct {
	broker *broker
	remote netip.Addr
	line   *packet.Conn // to the front
	front  *front
	grace  *time.Timer

	engine   *gate.Gate
	settings config.SFTP

	mu   sync.Mutex
	conn int // a copy of the connection, to cut it; -1 once in

	keys          []hostKey // as they were when the front was given the connection
	signed        int       // key exchanges
	sessionID     []byte    // the first thing signed
	hostAlgorithm string    // that it was signed by

	user     string  // fixed by the first step
	person   *person // nil for somebody who is not to log in, and nobody says why
	nobody   error
	proved   bool // a key, in this session
	failures int
	offered  int  // keys
	over     bool // no step can succeed any more
	penalty  time.Duration

	first    config.FirstFactor // that was proven; "" for none
	unproven bool               // by the front's word alone
	password string             // that was right
	dialogue *dialogue
	prompt   string   // that the dialogue waits at
	expired  bool     // the password, and nothing else is left to ask
	changed  bool     // it was tried to
	told     []string // for the next answer
	keeper   *keeper
	in       bool
	crew     *crew
	joining  chan struct{} // closed when crew, or joinErr, is there
	joinErr  error
}

// maxFailures ends a connection, as MaxAuthTries does in sshd.
const maxFailures = 6

// errTurnedAway ends a connection that came to no login.
var errTurnedAway = errors.New("turned away")

// receive takes a new connection.
func (b *broker) receive(conn *net.TCPConn) {
	defer conn.Close()
	b.visits.Add(1)
	defer b.visits.Add(-1)
	remote, ok := netip.AddrFromSlice(conn.RemoteAddr().(*net.TCPAddr).IP)
	if !ok {
		return
	}
	remote = remote.Unmap()
	engine, err := b.current()
	if err != nil {
		b.reportFor(&visit{remote: remote, settings: b.settings().SFTP}, "configuration", err)
		return
	}
	if listed(remote, engine.Config.SFTP.ProxyProtocol) {
		if remote, err = proxied(conn, remote); err != nil {
			b.turnAway(engine.Config.SFTP.PAMService, remote, refusal{byProxy, err.Error()})
			return
		}
	}
	limits := engine.Config.SFTP.Limits
	if refused := b.doorway.enter(remote, limits); refused != (refusal{}) {
		b.turnAway(engine.Config.SFTP.PAMService, remote, refused)
		return
	}
	v := &visit{broker: b, remote: remote, engine: engine, settings: engine.Config.SFTP, conn: -1}
	left := sync.OnceFunc(func() {
		if closed := b.doorway.leave(remote, limits, v.ending()); closed > 0 {
			b.reportClosed(v.settings.PAMService, remote, closed)
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
func (v *visit) handOver(conn *net.TCPConn, grace time.Duration) error {
	file, err := conn.File()
	if err != nil {
		return err
	}
	defer file.Close()
	line, theirs, err := packet.Pair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	fd := int(file.Fd())
	if v.conn, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		line.Close()
		return err
	}
	v.line = line
	v.front = v.broker.pick()
	v.grace = time.AfterFunc(grace, func() {
		v.penalize(penaltyGrace)
		v.cut()
	})
	var w packet.Writer
	if v.keys, err = v.front.give(w.U8(talk.HubConn).Text(v.remote.String()).Bytes, fd, int(theirs.Fd())); err != nil {
		v.end()
		return err
	}
	return conn.Close()
}

func (v *visit) penalize(more time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.penalty += more
}

// ending is how the login ended.
func (v *visit) ending() end {
	v.mu.Lock()
	defer v.mu.Unlock()
	return end{in: v.in, penalty: v.penalty}
}

// cut ends the connection whatever its front does.
func (v *visit) cut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conn >= 0 {
		_ = unix.Shutdown(v.conn, unix.SHUT_RDWR)
	}
	_ = v.line.Close()
}

// letGo gives up the copy of the connection.
func (v *visit) letGo() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conn >= 0 {
		unix.Close(v.conn)
		v.conn = -1
	}
}

// serve answers the front until it hangs up. entered is called once the person
// is in.
func (v *visit) serve(entered func()) {
	buffer := make([]byte, talk.MaxLine)
	for {
		message, err := v.ask(buffer)
		if err == nil {
			err = v.answer(message)
		}
		if errors.Is(err, packet.ErrMalformed) || errors.Is(err, packet.ErrTooLarge) {
			v.broker.reportFor(v, "front", err)
		}
		if err != nil {
			if !v.in && (v.user == "" || v.ending().penalty == 0) {
				v.penalize(penaltyNothing)
			}
			v.cut()
			return
		}
		if v.in && buffer != nil && len(buffer) == talk.MaxLine {
			entered()
			// What is asked from here on is small, and sessions are many.
			buffer = make([]byte, 2*talk.MaxNote+512)
		}
	}
}

// ask is the next thing that the front asks. It never brings descriptors.
func (v *visit) ask(buffer []byte) ([]byte, error) {
	n, fds, err := v.line.Receive(buffer)
	if err != nil {
		return nil, err
	}
	if len(fds) > 0 {
		packet.CloseAll(fds)
		return nil, packet.ErrMalformed
	}
	return buffer[:n], nil
}

func (v *visit) answer(message []byte) error {
	r := packet.NewReader(message)
	op := r.U8()
	switch {
	case op == talk.AskSign:
		public, algorithm, data := r.Blob(), r.Text(), r.Blob()
		if err := r.Done(); err != nil {
			return err
		}
		return v.sign(public, algorithm, data)
	case op == talk.AskUnmatched && v.sessionID == nil && v.user == "":
		return v.unmatched(r)
	case !v.in:
		return v.loginStep(op, r)
	case op == talk.AskSession:
		if err := r.Done(); err != nil {
			return err
		}
		return v.session()
	case op == talk.AskNote:
		return v.note(r)
	case op == talk.AskBytes:
		n, upload := r.U32(), r.Bool()
		if err := r.Done(); err != nil {
			return err
		}
		wait := v.broker.bandwidth.wait(v.person.uid, upload, n, v.settings.Limits.Bandwidth)
		var w packet.Writer
		return v.line.Send(w.U8(talk.AnswerBytes).U64(uint64(wait)).Bytes)
	case op == talk.AskHostKey:
		public := r.Blob()
		if err := r.Done(); err != nil {
			return err
		}
		return v.proveHostKey(public)
	}
	return packet.ErrMalformed
}

// is fixes whom the connection is for. Another name later is refused: what was
// proven was proven of the first.
func (v *visit) is(name string) bool {
	if v.user != "" {
		return v.user == name
	}
	if account.CheckName(name) != nil {
		return false
	}
	v.user = name
	v.person, v.nobody = lookUp(name, v.settings.AllowRoot)
	return true
}

// end gives back what the visit holds.
func (v *visit) end() {
	v.grace.Stop()
	v.letGo()
	_ = v.line.Close()
	if v.dialogue != nil {
		v.dialogue.end()
	}
	v.noteUnchanged()
	if v.joining != nil {
		<-v.joining
	} else if v.keeper != nil {
		v.keeper.close()
	}
	if v.in {
		v.broker.house.leave(v.person.uid)
		v.broker.bandwidth.forget(v.person.uid)
	}
	if v.crew != nil {
		v.broker.crews.leave(v.crew)
	}
}

// session gives the front a session of the person's worker.
func (v *visit) session() error {
	<-v.joining
	var w packet.Writer
	w.U8(talk.AnswerSession)
	err := v.joinErr
	fd := -1
	if err == nil {
		fd, err = v.crew.session()
	}
	if err != nil {
		v.broker.reportFor(v, "session", err)
		return v.line.Send(w.Bool(false).Bytes)
	}
	defer unix.Close(fd)
	return v.line.Send(w.Bool(true).Bytes, fd)
}
