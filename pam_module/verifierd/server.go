package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/serve"
)

// What one peer can make the others wait for.
const (
	// openingTime is how long a peer may take to say what it wants. A front
	// says it at once.
	openingTime = 5 * time.Second
	// defaultTimeout is for fronts that name none.
	defaultTimeout = 2 * time.Minute
	// maxPerUser bounds the open dialogues of an ordinary user's programs,
	// maxTrusted those of root and of the users in verifier.allow.
	maxPerUser = 16
	maxTrusted = 4096
)

// server answers fronts until it is told to stop.
type server struct {
	engines *engines
	who     *directory
	sink    audit.Sink
	metrics *metrics

	mu     sync.Mutex
	open   map[uint32]int // open connections by uid
	refuse map[uint32]time.Time
	busy   sync.WaitGroup
	last   time.Time // when a connection ended or began
}

func newServer(engines *engines, who *directory, sink audit.Sink, m *metrics) *server {
	return &server{engines: engines, who: who, sink: sink, metrics: m,
		open: map[uint32]int{}, refuse: map[uint32]time.Time{}, last: time.Now()}
}

// serve accepts until the listener is closed.
func (s *server) serve(listener *net.UnixListener) error {
	for {
		conn, err := listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			// Out of descriptors, say. Accepting again at once would spin.
			s.report("accept", err.Error())
			time.Sleep(50 * time.Millisecond)
			continue
		}
		s.busy.Go(func() { s.connection(conn) })
	}
}

// connection serves one front.
func (s *server) connection(conn *net.UnixConn) {
	defer conn.Close()
	peer, err := credentials(conn)
	if err != nil {
		s.report("peer", err.Error())
		return
	}
	trusted := s.who.trusted(peer.Uid, s.engines.allowed())
	if !s.enter(peer.Uid, trusted) {
		return
	}
	defer s.leave(peer.Uid)
	if err := s.dialogue(conn, peer.Uid, trusted); err != nil {
		s.metrics.broken()
		s.report("dialogue", fmt.Sprintf("peer uid %d pid %d: %v", peer.Uid, peer.Pid, err))
	}
}

func (s *server) dialogue(conn *net.UnixConn, uid uint32, trusted bool) error {
	if err := conn.SetDeadline(time.Now().Add(openingTime)); err != nil {
		return err
	}
	start, err := wire.ReadStart(conn)
	if err != nil {
		return fmt.Errorf("open dialogue: %w", err)
	}
	// Another configuration is another policy. The front then forks a core,
	// which reads the file that it names.
	if !s.engines.isFor(start.Config) {
		return nil
	}
	if start.Timeout == 0 {
		start.Timeout = defaultTimeout
	}
	if err := conn.SetDeadline(time.Now().Add(start.Timeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{wire.Ready}); err != nil {
		return err
	}
	begin := time.Now()
	defer func() { s.metrics.dialogue(time.Since(begin)) }()
	return serve.Answer(context.Background(), conn, start, s.opener(uid, trusted, &start), s.sink)
}

// errMayNotAsk denies a front that asks for somebody else than its own user.
var errMayNotAsk = errors.New("asks for another user; expected root, a user in verifier.allow, or the user in question")

// opener gives the engine to those who may ask. What an ordinary user's
// program says of the remote side is not believed: it could spend the attempts
// of somebody else's address, or claim a trusted network.
func (s *server) opener(uid uint32, trusted bool, start *wire.Start) serve.Opener {
	if !trusted {
		start.RemoteHost = ""
	}
	return func(start wire.Start, _ audit.Sink) (*gate.Gate, string, error) {
		if !trusted && !s.who.is(uid, start.User) {
			return nil, "peer", fmt.Errorf("a program of uid %d %w", uid, errMayNotAsk)
		}
		engine, err := s.engines.current()
		return engine, "configuration", err
	}
}

// enter counts a connection, or refuses it. The front of a refused one forks.
func (s *server) enter(uid uint32, trusted bool) bool {
	limit := maxPerUser
	if trusted {
		limit = maxTrusted
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.open[uid] >= limit {
		// One line a minute says enough; a flood must not fill the log.
		if now.Sub(s.refuse[uid]) > time.Minute {
			s.refuse[uid] = now
			s.report("peer", fmt.Sprintf("uid %d has %d dialogues open, which is the limit", uid, limit))
		}
		s.metrics.refusedPeer()
		return false
	}
	s.open[uid]++
	s.last = now
	return true
}

func (s *server) leave(uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[uid]--; s.open[uid] == 0 {
		delete(s.open, uid)
	}
	s.last = time.Now()
}

// idle says how long nobody has asked anything.
func (s *server) idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) > 0 {
		return 0
	}
	return time.Since(s.last)
}

// drain waits for the open dialogues, at most for as long as a dialogue may
// last. It says whether all have ended.
func (s *server) drain(ctx context.Context) bool {
	done := make(chan struct{})
	go func() { s.busy.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *server) report(rule, reason string) {
	s.sink.Write(audit.Record{Verdict: "fault", Rule: rule, Reason: reason})
}
