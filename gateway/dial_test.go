package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/testaddress"
	"github.com/otpgate/otpgate/internal/testwait"
)

// clock is driven by the test. It stands still otherwise.
type clock struct {
	mu     sync.Mutex
	time   time.Time
	alarms []alarm
}

type alarm struct {
	at   time.Time
	ring chan time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) ringAt(then time.Time) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ring := make(chan time.Time, 1)
	c.alarms = append(c.alarms, alarm{then, ring})
	c.ring()
	return ring
}

// pass rings what is due after so long.
func (c *clock) pass(wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(wait)
	c.ring()
}

// ring rings what is due. It must be called with the lock.
func (c *clock) ring() {
	var later []alarm
	for _, a := range c.alarms {
		if a.at.After(c.time) {
			later = append(later, a)
			continue
		}
		a.ring <- c.time
	}
	c.alarms = later
}

// node is a client that is dialled.
type node struct {
	listener net.Listener
	key      *pinned.Key
	// known is what it thinks of the server's key.
	known   func(config.KeyHash) error
	conns   atomic.Int32
	arrived chan *tls.Conn
}

func anybody(config.KeyHash) error { return nil }

func newNode(t *testing.T, key *pinned.Key, known func(config.KeyHash) error) *node {
	t.Helper()
	listener, err := net.Listen("tcp", testaddress.Kept(t, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	n := &node{listener: listener, key: key, known: known, arrived: make(chan *tls.Conn, 1000)}
	go func() {
		for {
			bare, err := listener.Accept()
			if err != nil {
				return
			}
			n.conns.Add(1)
			go func() {
				conn := pinned.Server(bare, n.key, n.known)
				if conn.Handshake() != nil {
					bare.Close()
					return
				}
				t.Cleanup(func() { bare.Close() })
				n.arrived <- conn
			}()
		}
	}()
	return n
}

// dials starts a dialler of the rig's gateway that is driven by a clock.
func (r *rig) dials(t *testing.T, address string, change func(*dialler)) (*dialler, *clock) {
	t.Helper()
	c := &clock{time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	d := newDialler(r.gateway, address, r.log)
	d.now, d.at, d.random = c.now, c.ringAt, func() float64 { return 1 }
	if change != nil {
		change(d)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	r.gateway.all.Go(func() { d.run(ctx) })
	return d, c
}

func (d *dialler) counted() (waiting, withLogin int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count[trying] + d.count[idle], d.count[busy]
}

// expect waits until so many connections wait, and so many have a login.
func (d *dialler) expect(t *testing.T, waiting, withLogin int) {
	t.Helper()
	testwait.Until(t, "the connections", func() bool {
		w, l := d.counted()
		return w == waiting && l == withLogin
	})
}

// A few connections wait for the client's logins, more when these are taken, and no
// more than that.
func TestDials(t *testing.T) {
	r := newRig(t, unhurried, nil, takes(t))
	n := newNode(t, r.key, func(hash config.KeyHash) error {
		if hash != r.server {
			return errors.New("another server")
		}
		return nil
	})
	d, _ := r.dials(t, n.listener.Addr().String(), nil)
	first := <-n.arrived
	// It is not known yet whether the client takes it, so it is the only one.
	d.expect(t, 1, 0)
	open := []*tls.Conn{first}
	for taken := 0; taken < mostAhead+4; {
		for ; len(open) < taken+1; open = append(open, <-n.arrived) {
		}
		if answer, err := ask(open[taken]); err != nil || !answer.Taken {
			t.Fatalf("%+v, %v", answer, err)
		}
		taken++
		d.expect(t, max(ahead, min(taken, mostAhead)), taken)
	}
	testwait.Until(t, "all that are wanted", func() bool { return n.conns.Load() == mostAhead+4+mostAhead })
	// One that the client lets go of is made anew as long as it is wanted.
	open[0].Close()
	d.expect(t, mostAhead, mostAhead+3)
}

// What fails is tried again, later each time, up to a bound, and said once.
func TestDialPauses(t *testing.T) {
	r := newRig(t, unhurried, nil, nil)
	n := newNode(t, r.key, anybody)
	var tries atomic.Int32
	var wrong atomic.Value
	wrong.Store(errors.New("no way there"))
	d, c := r.dials(t, n.listener.Addr().String(), func(d *dialler) {
		d.connect = func(ctx context.Context, address string) (net.Conn, error) {
			tries.Add(1)
			if err := wrong.Load().(error); err.Error() != "none" {
				return nil, err
			}
			return pinned.Dial(ctx, address)
		}
	})
	for i, want := range []time.Duration{100, 200, 400, 800, 1600, 2000, 2000, 2000} {
		// How often the dialler sets an alarm for it is its own affair.
		var pause time.Duration
		testwait.Until(t, "a try has failed", func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			pause = d.next.Sub(d.now())
			return d.failures == i+1 && d.count[trying] == 0
		})
		if n := tries.Load(); n != int32(i+1) || pause != want*time.Millisecond {
			t.Errorf("%d tries, and a pause of %v, expected %d and %v", n, pause, i+1, want*time.Millisecond)
		}
		switch i {
		case 5:
			wrong.Store(errors.New("closed there"))
		case 7:
			wrong.Store(errors.New("none"))
		}
		c.pass(want * time.Millisecond)
	}
	r.log.expect(t, "gateway.dial", n.listener.Addr().String()+": no way there")
	r.log.expect(t, "gateway.dial", n.listener.Addr().String()+": closed there")
	said := 0
	for _, record := range r.log.copy() {
		if record.Rule == "gateway.dial" {
			said++
		}
	}
	if said != 2 {
		t.Errorf("the log has %d lines, expected one for each reason", said)
	}
	<-n.arrived
	// The others come once the first has lasted.
	testwait.Until(t, "all connections", func() bool {
		c.pass(proof)
		waiting, _ := d.counted()
		return waiting == ahead
	})
}

// Those who lost their connections together do not come back at the same moment.
func TestDialPausesDiffer(t *testing.T) {
	d := newDialler(&gateway{}, "dmz1:9153", discard{})
	now := time.Now()
	d.now = func() time.Time { return now }
	for chance, want := range map[float64]time.Duration{0: firstPause / 2, .5: firstPause * 3 / 4, 1: firstPause} {
		d.failures, d.random = 0, func() float64 { return chance }
		d.fail("no way there")
		if pause := d.next.Sub(now); pause != want {
			t.Errorf("chance %v: %v, expected %v", chance, pause, want)
		}
	}
}

// Who has a key that no client's file has, or is elsewhere than that says, and who does
// not know this machine's key, is tried again later, and the log says what to do.
func TestDialledAreStrangers(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*clients.Client)
		known  func(config.KeyHash) error
		said   string
	}{
		"key":     {func(c *clients.Client) { c.Keys = []config.KeyHash{{1}} }, anybody, "no such client"},
		"address": {elsewhere(t), anybody, "whose file has not this address in addresses"},
		"refused": {nil, func(config.KeyHash) error { return errors.New("not in remote.server_keys") }, "it refuses this machine's key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, unhurried, test.change, takes(t))
			n := newNode(t, r.key, test.known)
			d, c := r.dials(t, n.listener.Addr().String(), nil)
			r.log.expect(t, "gateway.dial", n.listener.Addr().String()+": ")
			r.log.expect(t, "gateway.dial", test.said)
			d.expect(t, 0, 0)
			// The clock stands, so it is not tried again yet.
			if n := n.conns.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
			if test.change == nil {
				return
			}
			r.save(t, nil)
			c.pass(mostPause)
			login(t, <-n.arrived)
		})
	}
}

func elsewhere(t *testing.T) func(*clients.Client) {
	t.Helper()
	var network config.Network
	if err := network.UnmarshalText([]byte("192.0.2.0/24")); err != nil {
		t.Fatal(err)
	}
	return func(c *clients.Client) { c.Addresses = []config.Network{network} }
}

// When a client ends, all its connections do; it is not tried by all of them at once.
func TestDialledEnds(t *testing.T) {
	r := newRig(t, unhurried, nil, takes(t))
	n := newNode(t, r.key, anybody)
	var tries atomic.Int32
	d, c := r.dials(t, n.listener.Addr().String(), func(d *dialler) {
		d.connect = func(ctx context.Context, address string) (net.Conn, error) {
			tries.Add(1)
			return pinned.Dial(ctx, address)
		}
	})
	testwait.Until(t, "all have lasted", func() bool {
		c.pass(proof)
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.count[idle] == ahead
	})
	testaddress.Close(t, n.listener)
	for range ahead {
		(<-n.arrived).Close()
	}
	r.log.expect(t, "gateway.dial", "connection refused")
	d.expect(t, 0, 0)
	if n := tries.Load(); n != ahead+1 {
		t.Errorf("%d tries, expected %d", n, ahead+1)
	}
}

// Whoever is typing when the gateway is told to end may finish, and no connection is
// made any more.
func TestDialledDrain(t *testing.T) {
	r := newRig(t, unhurried, nil, takes(t))
	n := newNode(t, r.key, anybody)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	d := newDialler(r.gateway, n.listener.Addr().String(), r.log)
	r.gateway.all.Go(func() { d.run(ctx) })
	typing := <-n.arrived
	if answer, err := ask(typing); err != nil || !answer.Taken {
		t.Fatalf("%+v, %v", answer, err)
	}
	waits := <-n.arrived
	stop()
	r.drains(t, waits, typing)
}

// A client's file bounds its connections, whoever made them.
func TestDialledLimits(t *testing.T) {
	limits := unhurried
	limits.spare = 0
	r := newRig(t, limits, func(c *clients.Client) { c.Dialogues = 1 }, takes(t))
	r.gateway.counts.spare = 0
	n := newNode(t, r.key, anybody)
	r.dials(t, n.listener.Addr().String(), nil)
	login(t, <-n.arrived)
	r.log.expect(t, "gateway.dial", "web1 has 1 connections open")
}

// A client that was taken over, and ends each connection with its first login, has no
// more of them made in a minute than that.
func TestDialsInAMinute(t *testing.T) {
	r := newRig(t, unhurried, func(c *clients.Client) { c.PerMinute = 5 }, takes(t))
	n := newNode(t, r.key, anybody)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 30 {
			conn := <-n.arrived
			if _, err := ask(conn); err != nil {
				t.Error(err)
			}
			conn.Close()
		}
	}()
	d, c := r.dials(t, n.listener.Addr().String(), func(d *dialler) { d.perMinute = 10 })
	testwait.Until(t, "all of a minute", func() bool { waiting, withLogin := d.counted(); return n.conns.Load() == 10 && waiting+withLogin == 0 })
	// Logins there find no connection, and are told that this machine's log says why.
	r.log.expect(t, "gateway.dial", n.listener.Addr().String()+": it ends its connections; it gets 20 in a minute at the most")
	c.pass(time.Minute)
	<-ended
	testwait.Until(t, "all of the next one, which knows how many logins there may be", func() bool { waiting, withLogin := d.counted(); return waiting+withLogin == 0 })
	if n := n.conns.Load(); n != 10+10+2*5 {
		t.Errorf("%d connections in two minutes, expected 30", n)
	}
}
