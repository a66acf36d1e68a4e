package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/wire"
)

// shakeHands finds out who it is. Nothing is known of the other side before, so what
// it can take is bounded.
func (g *gateway) shakeHands(bare *net.TCPConn, from netip.Addr) (*tls.Conn, clients.Client, error) {
	release, admitted := g.admit(from)
	if !admitted {
		g.turnedAway(from, "", "gateway.handshakes", "too many connections have not shown their key yet")
		return nil, clients.Client{}, nil
	}
	defer release()
	key, err := g.key.Key()
	if err != nil {
		g.log.Write(audit.Record{Verdict: "fault", Rule: "gateway.key", Reason: err.Error()})
		return nil, clients.Client{}, err
	}
	var client clients.Client
	var refused error
	bytes := &firstBytes{Conn: bare, left: mostFirstBytes}
	conn := pinned.Server(bytes, key, func(hash config.KeyHash) (err error) {
		client, err = g.find(hash, from)
		refused = err
		return err
	})
	ctx, cancel := context.WithTimeout(context.Background(), g.limits.handshake)
	defer cancel()
	err = errors.Join(pinned.Notice(bare), conn.HandshakeContext(ctx))
	bytes.done = true
	switch {
	case refused != nil:
		g.turnedAway(from, "", "gateway.clients", refused.Error())
		letRead(bare)
	case err != nil && !errors.Is(err, io.EOF):
		g.turnedAway(from, "", "gateway.handshake", err.Error())
	}
	return conn, client, err
}

// letRead lets the other side read why it is turned away: it may have sent something
// by then, and what is closed with that unread is reset, and so is the reason.
func letRead(bare *net.TCPConn) {
	if errors.Join(bare.CloseWrite(), bare.SetReadDeadline(time.Now().Add(time.Second))) == nil {
		_, _ = io.CopyN(io.Discard, bare, wire.MaxPayload)
	}
}

// admit counts a handshake. Strangers with many addresses can take all places but
// those that are kept for addresses which clients come from.
func (g *gateway) admit(from netip.Addr) (release func(), admitted bool) {
	counted := func(counter *admission.Counter, most int) bool {
		bounds := config.SFTPLimits{MaxStartups: most, StartupsPerSource: g.limits.perSource}
		release = func() { counter.Release(from, bounds, admission.Result{}) }
		return counter.Admit(from, bounds).Rule == ""
	}
	if counted(g.starting, g.limits.handshakes) {
		return release, true
	}
	if (g.origins.has(from) || g.listed(from)) && counted(g.reserved, g.limits.reserve) {
		return release, true
	}
	return nil, false
}

// listed says whether a client's file names the address.
func (g *gateway) listed(from netip.Addr) bool {
	listed, wrong := g.table.Lists(from)
	g.tellWrong(wrong)
	return listed
}

// origins are where clients came from that showed their keys, a few for each.
type origins struct {
	mu sync.Mutex
	of map[string][]netip.Prefix
}

// originsEach is how many of one client are remembered, the last ones. One that was
// taken over cannot have strangers' addresses take the places of other clients.
const originsEach = 8

func (o *origins) note(client string, from netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	source := config.SourceOf(from)
	known := o.of[client]
	if slices.Contains(known, source) {
		return
	}
	if o.of == nil {
		o.of = map[string][]netip.Prefix{}
	}
	if len(known) >= originsEach {
		known = slices.Delete(known, 0, 1)
	}
	o.of[client] = append(known, source)
}

func (o *origins) has(from netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	source := config.SourceOf(from)
	for _, known := range o.of {
		if slices.Contains(known, source) {
			return true
		}
	}
	return false
}

// mostFirstBytes is far more than a handshake of a client's needs, and far less than
// the 256 KiB that crypto/tls takes of a certificate before it is looked at.
const mostFirstBytes = 16 << 10

// firstBytes is a connection that gives no more than left until the handshake is done.
type firstBytes struct {
	net.Conn
	left int
	done bool
}

// Read implements [net.Conn].
func (f *firstBytes) Read(p []byte) (int, error) {
	if f.done {
		return f.Conn.Read(p)
	}
	if f.left <= 0 {
		return 0, errFirstBytes
	}
	n, err := f.Conn.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

var errFirstBytes = fmt.Errorf("a handshake of more than %d bytes", mostFirstBytes)
