// Package handshake admits connections to a machine that listens by package pinned: it
// finds out who connects, and limits how many may be at their handshake, in all and per
// address, and what they can take until they have shown a key that is known.
//
// The entry points are [New] and [Admission.Handshake]. The package promises that
// connections which stall hold a bounded number of slots for a bounded time, that few
// bytes are read of strangers, and that they leave slots for those who come from where
// known keys came from before.
package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/origins"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/wire"
)

// Limits are what one connection can make the others wait for.
type Limits struct {
	// Time is how long a connection may take to show its key, AtOnce how many may be
	// at that at once, and PerSource how many of one address. One more ends the oldest.
	Time              time.Duration
	AtOnce, PerSource int
	// Reserve is how many more may be if they come from where known keys come from, so
	// that strangers keep none of them out.
	Reserve int
}

// Usual are the limits of what listens.
var Usual = Limits{Time: 5 * time.Second, AtOnce: 2048, PerSource: 64, Reserve: 512}

// Rules are what the log calls the reasons for which there is no connection.
type Rules struct {
	// TooMany is for too many at once, Handshake for one that fails, Own for this
	// machine's key, and Theirs for the other side's.
	TooMany, Handshake, Own, Theirs string
}

// Admission has the connections that have not shown their key yet.
type Admission struct {
	limits Limits
	rules  Rules
	log    audit.Sink
	// listed says whether known keys come from an address by configuration.
	listed  func(netip.Addr) bool
	slots   slots
	origins origins.Origins
}

// New makes one without connections. listed says whether the configuration names an
// address as one where known keys come from. What goes to log is bounded by whoever
// gives it.
func New(limits Limits, rules Rules, log audit.Sink, listed func(netip.Addr) bool) *Admission {
	return &Admission{limits: limits, rules: rules, log: log, listed: listed}
}

// Handshake finds out who it is. Nothing is known of the other side before, so what it
// can take is bounded. Without a connection the log has why not.
func (a *Admission) Handshake(bare *net.TCPConn, from netip.Addr, own *pinned.KeyFile, known pinned.Known) *tls.Conn {
	slot := a.slots.take(from, bare, a.slots.isFull(a.limits) && (a.origins.Has(from) || a.listed(from)), a.limits)
	defer a.slots.release(slot) // however it ends
	conn, rule, reason := a.handshake(bare, own, known)
	switch {
	case !a.slots.release(slot):
		a.turnedAway(from, a.rules.TooMany, "too many connections have not shown their key yet, and this one is the oldest")
		return nil
	case rule == a.rules.Own:
		a.log.Write(audit.Record{Verdict: "fault", Rule: rule, Reason: reason})
	case rule != "":
		a.turnedAway(from, rule, reason)
	}
	return conn
}

// handshake says by which rule there is no connection, and why. There is no rule for
// somebody who goes without a word.
func (a *Admission) handshake(bare *net.TCPConn, own *pinned.KeyFile, known pinned.Known) (conn *tls.Conn, rule, reason string) {
	key, err := own.Key()
	if err != nil {
		return nil, a.rules.Own, err.Error()
	}
	var refused error
	bytes := &firstBytes{Conn: bare, left: mostFirstBytes}
	conn = pinned.Server(bytes, key, func(hash config.KeyHash) error {
		refused = known(hash)
		return refused
	})
	ctx, cancel := context.WithTimeout(context.Background(), a.limits.Time)
	defer cancel()
	err = errors.Join(pinned.KeepAlive(bare), conn.HandshakeContext(ctx))
	bytes.done = true
	switch {
	case err == nil:
		return conn, "", ""
	case refused != nil:
		closeLingering(bare)
		return nil, a.rules.Theirs, refused.Error()
	case pinned.IsRefusal(err):
		return nil, a.rules.Handshake, fmt.Sprintf("it refuses this machine's key, %s; its own log says why (%v)", key.Hash, err)
	case errors.Is(err, io.EOF):
		return nil, "", ""
	}
	return nil, a.rules.Handshake, err.Error()
}

// turnedAway writes a line about an address that gets nowhere.
func (a *Admission) turnedAway(from netip.Addr, rule, reason string) {
	a.log.Write(audit.Record{Remote: from.String(), Verdict: "turned-away", Rule: rule, Reason: reason})
}

// Note remembers where somebody known came from.
func (a *Admission) Note(who string, from netip.Addr) { a.origins.Note(who, from) }

// closeLingering lets the other side read why it is turned away: it may have sent
// something by then, and what is closed with that unread is reset, and so is the reason.
func closeLingering(bare *net.TCPConn) {
	if errors.Join(bare.CloseWrite(), bare.SetReadDeadline(time.Now().Add(time.Second))) == nil {
		_, _ = io.CopyN(io.Discard, bare, wire.MaxPayload)
	}
}

// mostFirstBytes is far more than a handshake needs, and far less than the 256 KiB that
// crypto/tls takes of a certificate before it is looked at.
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
