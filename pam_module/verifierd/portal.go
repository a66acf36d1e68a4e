package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/portalanswer"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// portalUser is whom the page for people runs as. Nobody else is answered at its
// socket, not even root: nothing of root's asks there.
const portalUser = "otpgate-portal"

// What the page can make others wait for. It faces the network: whoever took it over
// must neither hold up logins nor fill disk and log.
const (
	// portalAtOnce is how many requests are worked on at once. The others wait, and
	// beyond limits.portal they are dropped.
	portalAtOnce = 8
	// portalChanges is how many requests in a minute may change what is known of a
	// link: a thousand people who enroll within five minutes need half as many.
	portalChanges = 1200
	// portalLinkChanges is how many of them may be of one link: a person who mistypes
	// needs a few. portalLinkWaits is how many requests for a link wait while one is
	// worked on, without a place: for a person who presses twice.
	portalLinkChanges = 10
	portalLinkWaits   = 2
	// portalWrong is how many wrong links in a minute are counted and logged, each in
	// an entry of the ledger for the address that the page names. Further ones are as
	// wrong, and leave nothing.
	portalWrong = 60
	// portalSourceAsks is how many links people who are enrolled may ask for in a minute
	// from one address, which an office may share; portalAskLines is how many lines say in a
	// minute that none was mailed.
	portalSourceAsks = 20
	portalAskLines   = 60
	// portalCounted is how many links, or addresses, are counted at once: a page that was
	// taken over names any number of addresses.
	portalCounted = 4096
)

// portal answers the page for people, at a socket of its own: what the page does there
// is in no queue that a login waits in.
type portal struct {
	*server
	// admission is apart from that of logins, as the same user's programs may be at
	// both sockets.
	admission *admission
	working   semaphore
	limits    *portalLimits
	forgetter *forgetter
	// later is done behind the answers.
	later *portalanswer.Later
	// sender is what tests have in the place of the configuration's.
	sender    deliver.Sender
	accepting sync.WaitGroup
	all       sync.WaitGroup
}

func newPortal(s *server, limits limits) *portal {
	return &portal{
		server: s, admission: newAdmission(limits), working: make(semaphore, portalAtOnce),
		limits: newPortalLimits(portalChanges, portalWrong), forgetter: newForgetter(s.report),
		later: &portalanswer.Later{Panicked: func(panicked any) { s.report("portal", fmt.Sprintf("panic: %v", panicked)) }},
	}
}

// serve answers those who come to listener until that is closed.
func (p *portal) serve(listener net.Listener) {
	daemon.Accept(listener, p.take, func(reason string) { p.report("accept", reason) })
}

// take lets a connection in or drops it. The others wait in the queue meanwhile.
func (p *portal) take(conn net.Conn) {
	peer, err := credentials(conn)
	if err != nil {
		_ = conn.Close()
		go p.report("peer", err.Error())
		return
	}
	kind := ordinaryUser
	if p.engines.portal.knows(peer.Uid) {
		kind = forPortal
	}
	who, complaint := p.admission.admit(peer.Uid, kind)
	if who == nil {
		_ = conn.Close()
		p.sink.metrics.refusedPeer()
		if complaint != "" {
			go p.report("peer", complaint+" at the page's socket")
		}
		return
	}
	p.all.Go(func() { p.connection(conn, peer, who) })
}

// credentials are who the kernel says is at the other end, see [fronts.Conn].
func credentials(conn net.Conn) (peer *unix.Ucred, err error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("peer credentials: expected a Unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	controlErr := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(controlErr, err); err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	return peer, nil
}

// connection answers one request.
func (p *portal) connection(conn net.Conn, peer *unix.Ucred, who *peerCount) {
	defer conn.Close()
	defer p.recovered()
	defer p.admission.release(who)
	if err := p.mayAskHere(peer.Uid, who); err != nil {
		p.tell(peer, who, "peer", err)
		return
	}
	answered := false
	err := portalwire.Serve(context.Background(), conn, func(ctx context.Context, request portalwire.Request) (portalwire.Answer, error) {
		answered = true
		answer, err := p.answer(ctx, peer.Uid, who, request)
		if err != nil {
			p.tell(peer, who, "portal", err)
		}
		return answer, err
	})
	if err != nil && !answered {
		p.tell(peer, who, "dialogue", err)
	}
}

// mayAskHere says why a peer is not answered. One that is not known to be the page may
// be so since a moment ago, or a name service be slow: that is waited for.
func (p *portal) mayAskHere(uid uint32, who *peerCount) error {
	if who.kind == forPortal {
		return nil
	}
	if _, err := p.engines.current(func() {}); err != nil {
		return err
	}
	may, err := p.engines.portal.has(uid)
	if may {
		return nil
	}
	return errors.Join(errNotThePage, err)
}

var errNotThePage = errors.New("asks at the socket of the page for people; expected the user " + portalUser + ", and [portal] in the configuration")

// answer has the engine decide.
func (p *portal) answer(ctx context.Context, uid uint32, who *peerCount, request portalwire.Request) (portalwire.Answer, error) {
	end, err := p.limits.links.lock(ctx, linkOf(request))
	if err == nil {
		err = p.limits.ask(request)
	}
	if locked, ok := errors.AsType[invitation.LockedError](err); ok {
		return portalwire.Answer{Refused: portalwire.Locked, Until: locked.Until}, nil
	}
	if err != nil {
		return portalwire.Answer{}, err
	}
	defer end()
	select {
	case p.working <- struct{}{}:
		defer func() { <-p.working }()
	case <-ctx.Done():
		return portalwire.Answer{}, fmt.Errorf("%d other requests of the page took too long: %w", portalAtOnce, ctx.Err())
	}
	engine, err := p.engines.current(func() {})
	if err != nil {
		return portalwire.Answer{}, err
	}
	if engine.Config.Portal == nil {
		return portalwire.Answer{}, errors.New("there is no [portal] in the configuration")
	}
	p.forgetter.now(engine)
	return portalanswer.AnswerAll(ctx, p.engineFor(engine, uid, who, request), request, p.later)
}

// engineFor is the engine as it is for one request of the page.
func (p *portal) engineFor(engine *gate.Gate, uid uint32, who *peerCount, request portalwire.Request) *gate.Gate {
	sink := p.sink
	sink.peer, sink.services = fmt.Sprintf("uid %d", uid), engine.Config.Services
	sink.Sink = who.sink(sink.Sink)
	own := *engine
	// Where a browser comes from is the page's word, as are the codes that it says were
	// typed: they count apart, and lock nobody's logins.
	own.Peer = sink.peer
	own.BreakGlass = nil
	if p.sender != nil {
		own.Sender = p.sender
	}
	own.Ledger, own.Audit = p.limits.bound(engine.Ledger, sink, request, engine.Now)
	return &own
}

// tell writes a line about a request that is not answered, unless there are too many.
func (p *portal) tell(peer *unix.Ucred, who *peerCount, rule string, err error) {
	if rule == "dialogue" {
		p.sink.metrics.broken()
	}
	p.admission.tell(p.sink, peer, who, rule, err)
}

// portalEnding is how long the end waits for requests and mails, before mails that are
// being sent are given up: less than systemd does (TimeoutStopSec=), so that the log has
// what was not sent.
const portalEnding = 2 * time.Minute

// drain waits until all who were let in are answered and all mails are sent, but not for
// longer than most. The listener must be closed.
func (p *portal) drain(most time.Duration) (err error) {
	p.forgetter.end()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	answered := make(chan struct{})
	go func() { p.accepting.Wait(); p.all.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-ctx.Done():
		err = fmt.Errorf("requests of the page were still open: %w", os.ErrDeadlineExceeded)
	}
	p.later.End(ctx)
	return err
}
