package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// session answers one login after the other.
func (g *gateway) session(conn *tls.Conn, hash config.KeyHash, from netip.Addr) {
	for {
		// Before it counts as waiting: then drain may set a deadline, which holds.
		_ = conn.SetDeadline(time.Now().Add(g.limits.idle))
		if !g.wait(conn) {
			return
		}
		take, err := remotewire.ReadTake(conn)
		g.waited(conn)
		if err == nil && take.Client != "" {
			err = fmt.Errorf("%w: a client that names itself", wire.ErrProtocol)
		}
		if err != nil {
			if !quiet(err) {
				g.turnedAway(from, "", "gateway.frames", err.Error())
			}
			return
		}
		// The file may have changed since the last login, or be gone.
		client, err := g.find(hash, from)
		if err != nil {
			g.turnedAway(from, "", "gateway.clients", err.Error())
			return
		}
		if err := g.login(conn, client, take); err != nil {
			if !quiet(err) {
				g.turnedAway(from, client.Client, "gateway.frames", err.Error())
			}
			return
		}
	}
}

// login answers one Take. After an error the connection is of no use any more.
func (g *gateway) login(conn net.Conn, client clients.Client, take remotewire.Take) error {
	id := take.ID
	if rule, reason := g.counts.begin(client, take.Guest); rule != "" {
		g.log.Write(audit.Record{Client: client.Client, ID: id.String(), Verdict: "turned-away", Rule: rule, Reason: reason})
		return g.answer(conn, remotewire.Answer{Busy: reason})
	}
	defer g.counts.end(client.Client, take.Guest)
	engine, err := net.DialTimeout("unix", g.socket, g.limits.opening)
	if err != nil {
		g.log.Write(audit.Record{Client: client.Client, ID: id.String(), Verdict: "fault", Rule: "gateway.verifier", Reason: err.Error()})
		return g.answer(conn, remotewire.Answer{Busy: "its verifier does not answer"})
	}
	defer engine.Close()
	_ = engine.SetDeadline(time.Now().Add(g.limits.opening))
	answer, err := exchange(engine, remotewire.Take{ID: id, Guest: take.Guest, Client: client.Client})
	if err != nil {
		g.log.Write(audit.Record{Client: client.Client, ID: id.String(), Verdict: "fault", Rule: "gateway.verifier", Reason: err.Error()})
		return g.answer(conn, remotewire.Answer{Busy: "its verifier does not answer"})
	}
	if err := g.answer(conn, answer); err != nil || !answer.Taken {
		return err
	}
	return g.dialogue(conn, engine)
}

func exchange(engine net.Conn, take remotewire.Take) (remotewire.Answer, error) {
	if err := remotewire.WriteTake(engine, take); err != nil {
		return remotewire.Answer{}, err
	}
	return remotewire.ReadAnswer(engine)
}

func (g *gateway) answer(conn net.Conn, answer remotewire.Answer) error {
	_ = conn.SetDeadline(time.Now().Add(g.limits.opening))
	return remotewire.WriteAnswer(conn, answer)
}

// grace is how much later than the verifier the gateway gives a dialogue up, whose
// word it waits for.
const grace = time.Second

// dialogue passes the frames of one login on. They are read and written anew, so that
// nothing reaches the verifier but what the frames can say.
func (g *gateway) dialogue(conn, engine net.Conn) error {
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
	outcome, err := remotewire.Relay(engine, peer)
	if err != nil {
		return err
	}
	return remotewire.End(peer, outcome)
}
