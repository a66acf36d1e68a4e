package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/fronts"
	"github.com/otpgate/otpgate/pam_module/serve"
)

// server answers fronts until it is told to stop.
type server struct {
	engines     *engines
	who         *directory
	sink        counting
	admission   *admission
	splitBudget *gate.SplitBudget
	limits      clientLimits
	clients     clients.Loader
	leaving     *leaving
}

func newServer(engines *engines, who *directory, sink counting, limits limits) *server {
	return &server{engines: engines, who: who, sink: sink, admission: newAdmission(limits), splitBudget: gate.NewSplitBudget(), leaving: newLeaving()}
}

// serve begins to answer the fronts that come to socket.
func (s *server) serve(socket *fronts.Socket) (*fronts.Acceptors, error) {
	return fronts.Accept(socket, s.admit, func(reason string) { s.report("accept", reason) })
}

// admit lets a connection in, or returns nil. The others in the queue wait for
// it meanwhile, so it does nothing that may take long: what it has for the log
// is written beside it.
func (s *server) admit(conn *fronts.Conn) (answer func()) {
	peer, err := conn.Credentials()
	if err != nil {
		go s.report("peer", err.Error())
		return nil
	}
	who, complaint := s.admission.admit(peer.Uid, s.who.kind(peer.Uid, s.engines.allow, s.engines.gateway))
	if who == nil {
		s.sink.metrics.refusedPeer()
		if complaint != "" {
			go s.report("peer", complaint)
		}
		return nil
	}
	return func() { s.connection(conn, peer, who) }
}

// connection serves one front. Without Ready, the front of a connection that
// is closed forks a core.
func (s *server) connection(conn *fronts.Conn, peer *unix.Ucred, who *peerCount) {
	defer conn.Close()
	defer s.leaving.enter()()
	defer s.recovered()
	defer s.admission.release(who)
	answer := s.dialogue
	if who.kind == forClients {
		answer = s.answerGateway
	}
	if err := answer(conn, peer.Uid, who); err != nil {
		s.broken(peer, who, err)
	}
}

// recovered sees to it that what one peer brings down does not take the others
// along. It is to be deferred.
func (s *server) recovered() {
	if panicked := recover(); panicked != nil {
		s.report("internal", fmt.Sprintf("panic: %v", panicked))
	}
}

// broken counts a dialogue that a peer broke off or garbled.
func (s *server) broken(peer *unix.Ucred, who *peerCount, err error) {
	s.sink.metrics.broken()
	s.admission.tell(s.sink, peer, who, "dialogue", err)
}

func (s *server) dialogue(conn *fronts.Conn, uid uint32, who *peerCount) error {
	stream := newStream(conn)
	start, err := s.open(conn, stream, uid)
	if errors.Is(err, wire.ErrProtocol) {
		// It may be a gateway that the configuration has since a moment ago. It was
		// not known when this connection was let in; the next one finds it known.
		s.lookForGateway()
	}
	if start == nil || err != nil {
		return err
	}
	// On a client a core can do little.
	if s.leaving.leavesTo(who.kind, start) && s.engines.remote() == nil {
		return nil
	}
	if who.kind == trusted && mayBeHeld(start) {
		left, complaint := s.admission.admitName(start.User)
		if left == nil {
			s.sink.metrics.refusedPeer()
			if complaint != "" {
				s.sink.Write(audit.Record{User: start.User, Service: start.Service, Verdict: "fault", Rule: "peer", Reason: complaint})
			}
			return nil
		}
		defer left()
	}
	stream.owed = true
	begin := time.Now()
	defer func() { s.sink.metrics.dialogue(time.Since(begin)) }()
	err = s.answer(stream, uid, who, start)
	if stream.gone != nil {
		return nil
	}
	return err
}

// mayBeHeld says whether somebody at a prompt may hold a dialogue open. One that has its
// code from behind the password asks nobody. It is mostly a server's that can start no
// core: who holds open others in a person's name must not keep that person out there.
func mayBeHeld(start *wire.Start) bool { return !start.Split && !start.CodeBehind }

// lookForGateway reads the configuration as it is now, and waits until it is known
// whom it has as gateway.user.
func (s *server) lookForGateway() {
	if engine, err := s.engines.current(func() {}); err == nil && engine.Config.Gateway != nil {
		s.engines.gateway.settle(firstLookup)
	}
}

// open reads what a front wants, nil if nothing is to be answered.
func (s *server) open(conn *fronts.Conn, stream *stream, uid uint32) (*wire.Start, error) {
	if err := conn.SetDeadline(time.Now().Add(s.admission.limits.opening)); err != nil {
		return nil, err
	}
	start, err := wire.ReadStart(stream)
	// The doctor, a second verifier and a front that does not believe this one
	// look who listens, and go.
	if errors.Is(err, io.EOF) && uid == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open dialogue: %w", err)
	}
	// Another configuration is another policy. The front then forks a core,
	// which reads the file that it names.
	if !s.engines.isFor(start.Config) {
		return nil, nil
	}
	if start.Timeout == 0 {
		start.Timeout = s.admission.limits.dialogue
	}
	return &start, conn.SetDeadline(time.Now().Add(start.Timeout))
}

// errMayNotAsk denies a front that asks for somebody else than its own user.
var errMayNotAsk = errors.New("asks for another user; expected root, a user in verifier.allow, or the user in question")

// errInDoubt denies a front of which a name service does not say whose it is.
var errInDoubt = errors.New("may be one that must not ask")

// answer has the engine decide for those who may ask. What an ordinary user's
// program says of the remote side is not believed: it could spend the attempts
// of somebody else's address, or claim a trusted network.
func (s *server) answer(stream *stream, uid uint32, who *peerCount, start *wire.Start) error {
	engine, blame, sink, err := s.engineFor(stream, uid, who, start)
	out, log := io.ReadWriter(stream), audit.Sink(quiet{sink, stream})
	if start.Rule && who.kind == trusted {
		rule := new(string)
		out, log = verdictStream{stream, rule}, ruleSink{log, rule}
	}
	if err == nil {
		engine.Audit = log
	}
	open := func(wire.Start, audit.Sink) (*gate.Gate, string, error) { return engine, blame, err }
	if err == nil && engine.Config.Remote != nil {
		return s.answerAtServers(stream, out, start, open, log)
	}
	return serve.Answer(context.Background(), out, start, open, log)
}

// engineFor is the engine as it is for that peer, but for its log, or what is to blame.
func (s *server) engineFor(stream *stream, uid uint32, who *peerCount, start *wire.Start) (engine *gate.Gate, blame string, to audit.Sink, err error) {
	engine, err = s.engines.current(func() { _ = stream.announce() })
	blame, sink := "configuration", s.sink
	kind, peer := s.who.kind(uid, s.engines.allow, s.engines.gateway), ""
	if kind == forClients && err == nil {
		// It was let in before it was known for the gateway.
		blame, err = "peer", fmt.Errorf("a program of uid %d %w", uid, errMayNotAsk)
	}
	if kind == ordinaryUser && err == nil {
		_ = stream.announce() // noticed at the next frame
		if kind, blame, err = s.mayAsk(uid, start.User); err != nil {
			err = fmt.Errorf("a program of uid %d %w", uid, err)
		}
	}
	if kind != trusted {
		peer = fmt.Sprintf("uid %d", uid)
	}
	sink.peer = peer
	sink.Sink = who.sink(sink.Sink)
	if kind == ordinaryUser {
		start.RemoteHost = ""
		sink.unprivileged = true
	}
	if err == nil {
		own := *engine
		own.Peer, own.OwnPrograms, own.SplitBudget = peer, kind == ordinaryUser, s.splitBudget
		if kind != trusted {
			// No password was shown here, and enrolling takes one. A server that was
			// taken over could enroll anybody, or have everybody sent mails.
			own.Config.Policy.Unenrolled = own.Config.Policy.Unenrolled.WithoutProof()
		}
		sink.services = own.Config.Services
		if system, ok := own.Names.(gate.System); ok {
			system.Limit = who.names
			own.Names = system
		}
		stream.announceFor(&own)
		engine = &own
	}
	return engine, blame, sink, err
}

// mayAsk says what a program is to somebody that it asks for and of which it is
// not known that it may ask for anybody. A name service is asked here, which may
// take long: only of those whose login depends on it.
func (s *server) mayAsk(uid uint32, user string) (kind peerKind, blame string, err error) {
	own, doubt := s.who.isUser(uid, user)
	if own {
		s.admission.met(uid)
		return ordinaryUser, "configuration", nil
	}
	may, err := s.engines.allow.has(uid)
	switch {
	case may:
		return allowed, "configuration", nil
	case err != nil || doubt != nil:
		return ordinaryUser, "name-service", fmt.Errorf("%w: %w", errInDoubt, errors.Join(doubt, err))
	}
	return ordinaryUser, "peer", errMayNotAsk
}

func (s *server) report(rule, reason string) {
	s.sink.Write(audit.Record{Verdict: "fault", Rule: rule, Reason: reason})
}
