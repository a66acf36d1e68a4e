package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// session is a connection whose client is known.
type session struct {
	conn *tls.Conn
	hash config.KeyHash
	from netip.Addr
	// idle is how long it may be without a login; 0 is for as long as it lasts.
	idle time.Duration
	// taken and ended are told of each login.
	taken, ended func()
}

// deadline is when it has been without a login for too long.
func (s session) deadline() time.Time {
	if s.idle == 0 {
		return time.Time{}
	}
	return time.Now().Add(s.idle)
}

// session answers one login after the other, and says why it ends.
func (g *gateway) session(s session) error {
	for {
		// Before it counts as waiting: then drain may set a deadline, which holds.
		_ = s.conn.SetDeadline(s.deadline())
		if !g.wait(s.conn) {
			return nil
		}
		take, err := remotewire.ReadTake(s.conn)
		g.waited(s.conn)
		if err == nil && take.Client != "" {
			err = fmt.Errorf("%w: a client that names itself", wire.ErrProtocol)
		}
		if err != nil {
			if !quiet(err) {
				g.turnedAway(s.from, "", "gateway.frames", err.Error())
			}
			return err
		}
		s.taken()
		if err := g.one(s, take); err != nil {
			return err
		}
		s.ended()
	}
}

// one answers one login. After an error the connection is of no use any more.
func (g *gateway) one(s session, take remotewire.Take) error {
	// The file may have changed since the last login, or be gone.
	client, err := g.find(s.hash, s.from)
	if err != nil {
		g.turnedAway(s.from, "", "gateway.clients", err.Error())
		return err
	}
	check := func() error { return g.checkClient(client.Client, s.hash, s.from) }
	if err := g.login(s.conn, client, take, check); err != nil {
		if !quiet(err) {
			g.turnedAway(s.from, client.Client, "gateway.frames", err.Error())
		}
		return err
	}
	return nil
}

// checkClient says whether the key is still that client's, and may come from there.
func (g *gateway) checkClient(name string, hash config.KeyHash, from netip.Addr) error {
	client, err := g.find(hash, from)
	if err == nil && client.Client != name {
		err = fmt.Errorf("the key is that of %s by now", client.Client)
	}
	if err != nil {
		g.turnedAway(from, name, "gateway.clients", "while somebody typed: "+err.Error())
	}
	return err
}

// login answers one Take, as long as check finds no fault. After an error the connection is of no use any more.
func (g *gateway) login(conn net.Conn, client clients.Client, take remotewire.Take, check func() error) error {
	id := take.ID
	if rule, reason := g.counts.begin(client, take.Unprivileged); rule != "" {
		g.log.Write(audit.Record{Client: client.Client, ID: id.String(), Verdict: "turned-away", Rule: rule, Reason: reason})
		return g.answer(conn, remotewire.Answer{Busy: reason, Full: true})
	}
	defer g.counts.end(client.Client, take.Unprivileged)
	bare, err := g.engine()
	if err != nil {
		g.log.Write(audit.Record{Client: client.Client, ID: id.String(), Verdict: "fault", Rule: "gateway.verifier", Reason: err.Error()})
		return g.answer(conn, remotewire.Answer{Busy: "its verifier does not answer"})
	}
	defer bare.Close()
	engine := buffered{bare, bufio.NewReaderSize(bare, inBytes)}
	_ = engine.SetDeadline(time.Now().Add(g.limits.opening))
	answer, err := remotewire.Ask(engine, remotewire.Take{ID: id, Unprivileged: take.Unprivileged, Client: client.Client})
	if err != nil {
		g.log.Write(audit.Record{Client: client.Client, ID: id.String(), Verdict: "fault", Rule: "gateway.verifier", Reason: err.Error()})
		return g.answer(conn, remotewire.Answer{Busy: "its verifier does not answer"})
	}
	if err := g.answer(conn, answer); err != nil || !answer.Taken {
		return err
	}
	return g.dialogue(conn, engine, check)
}

// mostConnecting is how many logins wait in the queue of the verifier's socket at once:
// each holds a thread.
const mostConnecting = 64

// engine connects to the verifier. Programs of others on this machine may have filled its
// queue, which is no verifier that is not there.
func (g *gateway) engine() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), g.limits.queue)
	defer cancel()
	select {
	case g.connecting <- struct{}{}:
		defer func() { <-g.connecting }()
	case <-ctx.Done():
		return nil, errors.New("other logins waited for it until it was too late")
	}
	return daemon.ConnectUnix(ctx, g.socket, nil)
}

// buffered is a connection to the verifier. A frame's header and payload mostly come at
// once, and the rule with the verdict.
type buffered struct {
	net.Conn
	in *bufio.Reader
}

// inBytes holds most frames whole.
const inBytes = 512

// Read implements [io.Reader].
func (b buffered) Read(p []byte) (int, error) { return b.in.Read(p) }

func (g *gateway) answer(conn net.Conn, answer remotewire.Answer) error {
	_ = conn.SetDeadline(time.Now().Add(g.limits.opening))
	return remotewire.WriteAnswer(conn, answer)
}

// grace is how much later than the verifier the gateway gives a dialogue up, whose
// word it waits for.
const grace = time.Second

// dialogue passes the frames of one login on. They are read and written anew, so that
// nothing reaches the verifier but what the frames can say. What a person typed does
// not reach it either once the key counts no more.
func (g *gateway) dialogue(conn, engine net.Conn, check func() error) error {
	begin, err := remotewire.ReadBegin(conn)
	if err != nil {
		return err // it has turned to another server
	}
	if begin.Start.Timeout == 0 {
		begin.Start.Timeout = g.limits.dialogue
	}
	end := time.Now().Add(begin.Start.Timeout + grace)
	if err := errors.Join(conn.SetDeadline(end), engine.SetDeadline(end)); err != nil {
		return err
	}
	if err := remotewire.WriteBegin(engine, begin); err != nil {
		return err
	}
	peer := wire.Peer{Stream: conn}
	outcome, err := remotewire.Relay(engine, checkedPerson{peer, check})
	if err != nil {
		return err
	}
	return remotewire.End(peer, outcome)
}

// checkedPerson is the person at a client, as long as its key counts.
type checkedPerson struct {
	remotewire.Person
	check func() error
}

// Ask implements [remotewire.Person].
func (p checkedPerson) Ask(style wire.Style, text string) (wire.Reply, error) {
	reply, err := p.Person.Ask(style, text)
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return wire.Reply{}, err
	}
	return reply, nil
}
