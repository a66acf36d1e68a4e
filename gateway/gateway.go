package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/handshake"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/wire"
)

// limits are what one connection can make the others wait for.
type limits struct {
	// handshakes bounds connections that have not shown their key yet.
	handshakes handshake.Limits
	// idle is how long a client may keep a connection without a login.
	idle time.Duration
	// opening is how long each side may take for what it sends at once.
	opening time.Duration
	// queue is how long a login waits in the queue of the verifier's socket. It is less
	// than clients look for a server, so that they hear of it.
	queue time.Duration
	// dialogue is for clients that name no time of their own.
	dialogue time.Duration
	// spare is how many connections a client may have beyond its dialogues.
	spare int
}

var usual = limits{
	handshakes: handshake.Usual,
	idle:       time.Minute, opening: 10 * time.Second, queue: 2 * time.Second, dialogue: 2 * time.Minute, spare: 64,
}

// gateway answers clients.
type gateway struct {
	limits    limits
	socket    string // the verifier's
	key       *pinned.KeyFile
	table     *clients.Table
	log       audit.Sink
	admission *handshake.Admission
	counts    *counts
	// connecting has something in it for each login that connects to the verifier.
	connecting chan struct{}

	all sync.WaitGroup

	mu sync.Mutex
	// waiting are connections without a login under way.
	waiting map[net.Conn]struct{}
	ending  bool
}

func newGateway(settings config.Config, limits limits, log audit.Sink) *gateway {
	g := &gateway{
		limits: limits, socket: settings.Paths.Socket, key: pinned.NewKeyFile(settings.Gateway.Key), table: clients.NewTable(settings.Gateway.Clients),
		log: audit.NewLimiter(log.Write), counts: newCounts(time.Now), waiting: map[net.Conn]struct{}{},
		connecting: make(chan struct{}, mostConnecting),
	}
	g.admission = handshake.New(limits.handshakes, rules, g.log, g.listed)
	return g
}

// rules are the log's for connections that get no further than the handshake.
var rules = handshake.Rules{TooMany: "gateway.handshakes", Handshake: "gateway.handshake", Own: "gateway.key", Theirs: "gateway.clients"}

// listed says whether a client's file names the address.
func (g *gateway) listed(from netip.Addr) bool {
	listed, wrong := g.table.Lists(from)
	g.tellWrong(wrong)
	return listed
}

// accept lets connections in until the listener is closed.
func (g *gateway) accept(l *net.TCPListener) {
	daemon.AcceptTCP(l, func(conn *net.TCPConn) { g.all.Go(func() { g.connection(conn) }) }, func(reason string) {
		g.log.Write(audit.Record{Verdict: "fault", Rule: "accept", Reason: reason})
	})
}

// turnedAway writes a line about an address that gets nowhere.
func (g *gateway) turnedAway(from netip.Addr, client, rule, reason string) {
	g.log.Write(audit.Record{Remote: from.String(), Client: client, Verdict: "turned-away", Rule: rule, Reason: reason})
}

// connection serves one connection from its handshake to its end.
func (g *gateway) connection(bare *net.TCPConn) {
	defer bare.Close()
	defer g.recovered()
	peer, ok := bare.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return
	}
	from := peer.AddrPort().Addr().Unmap()
	var client clients.Client
	conn := g.admission.Handshake(bare, from, g.key, func(hash config.KeyHash) (err error) {
		client, err = g.find(hash, from)
		return err
	})
	if conn == nil {
		return
	}
	if !g.counts.connect(client) {
		g.turnedAway(from, client.Client, "client.dialogues", fmt.Sprintf("it has %d connections open", client.Dialogues+g.limits.spare))
		return
	}
	defer g.counts.disconnect(client.Client)
	g.admission.Note(client.Client, from)
	hash, _ := pinned.PeerKey(conn)
	none := func() {}
	_ = g.session(session{conn: conn, hash: hash, from: from, idle: g.limits.idle, taken: none, ended: none})
}

// recovered sees to it that what one client brings down does not take the others
// along. It is to be deferred.
func (g *gateway) recovered() {
	if panicked := recover(); panicked != nil {
		g.log.Write(audit.Record{Verdict: "fault", Rule: "internal", Reason: fmt.Sprintf("panic: %v", panicked)})
	}
}

// tellWrong writes a line about each file that cannot be used.
func (g *gateway) tellWrong(files []error) {
	for _, wrong := range files {
		g.log.Write(audit.Record{Verdict: "fault", Rule: "gateway.clients", Reason: wrong.Error()})
	}
}

// find is the client with that key, which may come from there.
func (g *gateway) find(hash config.KeyHash, from netip.Addr) (clients.Client, error) {
	client, wrong, err := g.table.Find(hash)
	g.tellWrong(wrong)
	if err != nil {
		return clients.Client{}, err
	}
	if !client.MayComeFrom(from) {
		return clients.Client{}, fmt.Errorf("the key is that of %s, whose file has not this address in addresses", client.Client)
	}
	return client, nil
}

// wait notes that a connection has no login under way. It is false if the gateway
// ends.
func (g *gateway) wait(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ending {
		g.waiting[conn] = struct{}{}
	}
	return !g.ending
}

func (g *gateway) waited(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.waiting, conn)
}

// drain ends connections without a login, and waits for the others, at most for so
// long.
func (g *gateway) drain(most time.Duration) error {
	g.mu.Lock()
	g.ending = true
	for conn := range g.waiting {
		// Not with a word to the other side, which might wait for it.
		_ = conn.SetDeadline(time.Unix(1, 0))
	}
	g.mu.Unlock()
	done := make(chan struct{})
	go func() { g.all.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(most):
		return errors.New("dialogues were still open")
	}
}

// quiet says whether an end of a connection is nothing to tell of: clients close
// those that they need no more.
func quiet(err error) bool {
	return !errors.Is(err, wire.ErrProtocol)
}
