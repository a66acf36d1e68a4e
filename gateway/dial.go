package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/ratelimit"
)

// How many connections to a client that cannot dial wait for its logins: a few, as many
// as have a login under way, and no more than that. Its file bounds all of them.
const (
	ahead     = 4
	mostAhead = 16
)

// The times between tries to connect. The longest is less than a client looks for a
// server, so that its first logins after a start find one.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 2 * time.Second
	// proof is how long a connection lasts that the client has not refused: its word on
	// this machine's key comes after the handshake.
	proof = time.Second
	// usualPerMinute is how many connections to one client are made in a minute beside
	// those that its logins may end: one that was taken over may end each of them.
	usualPerMinute = 600
)

// dialler keeps connections to one client open, for as long as its context lasts.
type dialler struct {
	gateway *gateway
	address string
	// log is this dialler's own, so that what one client does takes no lines from others.
	log audit.Sink
	// connect makes a bare connection; now, at and random are the clock and chance. at
	// is given a point in time, as a pause would be late by what passes before it begins.
	connect func(ctx context.Context, address string) (net.Conn, error)
	now     func() time.Time
	at      func(time.Time) <-chan time.Time
	random  func() float64
	// perMinute is how many connections are made in a minute beside those of logins.
	perMinute int

	mu   sync.Mutex
	rate ratelimit.Limiter
	// logins is how many logins the client may begin in a minute, of both kinds. Each
	// may end its connection, and those that anybody there can begin must leave some to
	// the others.
	logins int
	// count is how many connections are in each state.
	count [busy + 1]int
	// proven says that the client took a connection when one was last tried. Until it
	// is there is one try at a time, none before next.
	proven   bool
	failures int
	next     time.Time
	told     string // what the log says of the last failure
	// changed has something in it when the next step may be another one.
	changed chan struct{}
}

// state is how far a connection is.
type state uint8

const (
	trying state = iota // the client may still refuse it
	idle
	busy // with a login
)

func newDialler(g *gateway, address string, log audit.Sink) *dialler {
	return &dialler{
		gateway: g, address: address, log: audit.NewLimiter(log.Write), connect: pinned.Dial, now: time.Now, at: at, random: rand.Float64,
		perMinute: usualPerMinute, changed: make(chan struct{}, 1),
	}
}

func at(then time.Time) <-chan time.Time { return time.After(time.Until(then)) }

// run keeps connections open until ctx ends.
func (d *dialler) run(ctx context.Context) {
	for ctx.Err() == nil {
		missing, then := d.missing()
		if missing > 0 && !then.After(d.now()) {
			d.begin(ctx, missing)
			continue
		}
		var due <-chan time.Time
		if missing > 0 {
			due = d.at(then)
		}
		select {
		case <-due:
		case <-d.changed:
		case <-ctx.Done():
		}
	}
}

// missing is how many more are to be tried, and when. The zero time is now.
func (d *dialler) missing() (n int, then time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n = max(ahead, min(d.count[busy], mostAhead)) - d.count[trying] - d.count[idle]
	switch {
	case n <= 0 || !d.proven && d.count[trying] > 0:
		return 0, time.Time{}
	case d.proven:
		return n, time.Time{}
	}
	return 1, d.next
}

func (d *dialler) begin(ctx context.Context, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range n {
		if !d.rate.Take(d.now(), d.perMinute+d.logins) {
			d.proven, d.next = false, d.now().Add(mostPause)
			d.tell(fmt.Sprintf("it ends its connections; it gets %d in a minute at the most, and for a while it may have none", d.perMinute+d.logins))
			return
		}
		d.count[trying]++
		c := &dialled{dialler: d}
		d.gateway.all.Go(func() { c.serve(ctx) })
	}
}

// wake has run look again. It must be called with the lock, as prove, fail and tell must.
func (d *dialler) wake() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *dialler) prove() {
	d.proven, d.failures, d.told = true, 0, ""
}

// fail puts the next try off: for longer each time, and not at the same moment as
// others who lost their connections together.
func (d *dialler) fail(reason string) {
	pause := mostPause
	if d.failures < 5 {
		pause = min(firstPause<<d.failures, mostPause)
	}
	d.failures++
	d.proven = false
	d.next = d.now().Add(pause/2 + time.Duration(d.random()*float64(pause/2)))
	d.tell(reason)
}

// tell says why the client has too few connections, each reason once in a row.
func (d *dialler) tell(reason string) {
	if reason != d.told {
		d.told = reason
		go d.log.Write(audit.Record{Verdict: "fault", Rule: "gateway.dial", Reason: d.address + ": " + reason})
	}
}

// dialled is one connection.
type dialled struct {
	*dialler
	state  state // the lock is the dialler's
	closed bool  // it is not counted any more
}

// move must be called with the lock.
func (c *dialled) move(to state) {
	c.count[c.state]--
	c.count[to]++
	c.state = to
	c.wake()
}

// last notes that the connection has lasted, unless it ends in the same moment.
func (c *dialled) last() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.prove()
	if c.state == trying {
		c.move(idle)
	}
}

// may notes what the client may do by its file.
func (c *dialled) may(client clients.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins = 2 * client.PerMinute
}

// taken notes that the client has begun a login, and ended that it is over.
func (c *dialled) taken() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prove()
	c.move(busy)
}

func (c *dialled) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(idle)
}

// serve makes the connection and serves it until its end.
func (c *dialled) serve(ctx context.Context) {
	var err error
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count[c.state]--
		c.closed = true
		c.wake()
		switch {
		case ctx.Err() != nil:
		case c.state == trying, pinned.IsRefusal(err):
			c.fail(c.explain(err))
		case c.state == idle:
			c.proven = false // the client may have ended, with all of them
		}
	}()
	defer c.gateway.recovered()
	err = c.dial(ctx)
}

// dial returns when the connection has ended, and says why.
func (c *dialled) dial(ctx context.Context) error {
	g := c.gateway
	key, err := g.key.Key()
	if err != nil {
		return fmt.Errorf("gateway.key: %w", err)
	}
	short, cancel := context.WithTimeout(ctx, g.limits.handshakes.Time)
	defer cancel()
	bare, err := c.connect(short, c.address)
	if err != nil {
		return err
	}
	defer bare.Close()
	peer, ok := bare.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return errors.New("not a connection of TCP")
	}
	from := peer.AddrPort().Addr().Unmap()
	var client clients.Client
	var hash config.KeyHash
	conn := pinned.Client(bare, key, func(shown config.KeyHash) (err error) {
		hash = shown
		client, err = g.find(hash, from)
		return err
	})
	if err := conn.HandshakeContext(short); err != nil {
		return err
	}
	if !g.counts.connect(client) {
		return fmt.Errorf("%s has %d connections open", client.Client, client.Dialogues+g.limits.spare)
	}
	defer g.counts.disconnect(client.Client)
	c.may(client)
	over := make(chan struct{})
	defer close(over)
	lasted := c.at(c.now().Add(proof))
	go func() {
		select {
		case <-lasted:
			c.last()
		case <-over:
		}
	}()
	return g.session(session{conn: conn, hash: hash, from: from, taken: c.taken, ended: c.ended})
}

// explain says what the end of a connection means that the client has not used.
func (c *dialled) explain(err error) string {
	key, keyErr := c.gateway.key.Key()
	switch {
	case err == nil:
		return "the connection ended"
	case pinned.IsRefusal(err) && keyErr == nil:
		return fmt.Sprintf("it refuses this machine's key, %s, which must be in remote.server_keys there; its own log says why (%v)", key.Hash, err)
	case errors.Is(err, io.EOF):
		return "it ended the connection at once; its own log says why"
	}
	return pinned.Shorter(err).Error()
}
