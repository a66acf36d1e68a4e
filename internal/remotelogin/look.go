package remotelogin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// Look is what one server says to somebody who looks whether it would take a login.
type Look struct {
	// Server is its address as the configuration has it, and Addresses are where that
	// leads.
	Server    string
	Addresses []netip.Addr
	// Key is the one that it has shown, the zero value before that.
	Key config.KeyHash
	// Ledger names what it remembers used codes in, and Ahead is how far its clock is
	// ahead of this machine's, if Err is nil.
	Ledger string
	Ahead  time.Duration
	// Err is why it takes no login: an [UnknownKeyError], a [RefusedError], a
	// [BusyError], what package net says, or a context's end if it did not answer.
	Err error
}

// UnknownKeyError is about a server, or whoever answers in its place, whose key the
// configuration does not name.
type UnknownKeyError struct{ Key config.KeyHash }

func (u UnknownKeyError) Error() string {
	return fmt.Sprintf("its key is %s, which is not in remote.server_keys; compare it with what otpctl client key prints there", u.Key)
}

// RefusedError is about a server that does not know this machine by that key, or not
// from where it comes.
type RefusedError struct {
	Key config.KeyHash
	err error
}

func (r RefusedError) Error() string {
	return fmt.Sprintf("it refuses this machine's key, %s; its own log says why, and otpctl client list what keys it knows (%v)", r.Key, r.err)
}

func (r RefusedError) Unwrap() error { return r.err }

// BusyError is the server's own word that it takes no login.
type BusyError struct{ Reason string }

func (b BusyError) Error() string { return "it takes no login: " + b.Reason }

// ErrOwnKey is wrapped by the error of a machine whose own key cannot be used.
var ErrOwnKey = errors.New("this machine's key")

// LookAtAll asks every server at once whether it takes a login, and begins none: nothing
// is seen of it but what the log of a server says of those that it refuses. Each step
// may take so long. The servers are in the order of the configuration.
func LookAtAll(ctx context.Context, settings config.Remote, step time.Duration) []Look {
	s := serversOf(settings)
	looks := make([]Look, len(s.all))
	var all sync.WaitGroup
	for i, server := range s.all {
		all.Go(func() { looks[i] = s.look(ctx, server, step) })
	}
	all.Wait()
	return looks
}

func (s *Servers) look(ctx context.Context, server *server, step time.Duration) (l Look) {
	l.Server = server.address
	key, err := s.key.Key()
	if err != nil {
		l.Err = fmt.Errorf("%w: %w", ErrOwnKey, err)
		return l
	}
	within := func(do func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, step)
		defer cancel()
		err := do(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded): // the socket was quicker than its context
			return context.DeadlineExceeded
		}
		return err
	}
	if l.Err = within(func(ctx context.Context) (err error) {
		l.Addresses, err = addressesOf(ctx, server.address)
		return err
	}); errors.Is(l.Err, context.DeadlineExceeded) {
		host, _, _ := net.SplitHostPort(server.address)
		l.Err = &net.DNSError{Err: "the resolver does not answer", Name: host, IsTimeout: true}
	}
	if l.Err != nil {
		return l
	}
	var bare net.Conn
	if l.Err = within(func(ctx context.Context) (err error) {
		bare, err = s.dial(ctx, server.address)
		return err
	}); l.Err != nil {
		return l
	}
	defer bare.Close()
	conn := pinned.Client(bare, key, func(hash config.KeyHash) error {
		l.Key = hash
		return s.known(hash)
	})
	if l.Err = within(conn.HandshakeContext); l.Err != nil {
		l.Err = s.explain(l.Err)
		return l
	}
	l.Err = within(func(ctx context.Context) error { return l.ask(ctx, conn) })
	if l.Err != nil {
		l.Err = s.explain(l.Err)
	}
	return l
}

// ask asks for a Take, and begins nothing.
func (l *Look) ask(ctx context.Context, conn net.Conn) error {
	defer closeWith(ctx, conn)()
	begun := time.Now()
	answer, err := remotewire.Ask(conn, remotewire.Take{ID: remotewire.NewID()})
	switch {
	case err != nil:
		return err
	case !answer.Taken:
		return BusyError{answer.Busy}
	}
	l.Ledger = answer.Ledger
	if between := begun.Add(time.Since(begun) / 2); !answer.Clock.IsZero() {
		l.Ahead = min(max(answer.Clock.Sub(between), -mostAhead), mostAhead)
	}
	return nil
}

// mostAhead is the most that a clock is said to be ahead or behind: a server may say what
// it likes, and no sum of two of these is too large for a duration.
const mostAhead = 100 * 365 * 24 * time.Hour

// addressesOf are those that a server's name leads to.
func addressesOf(ctx context.Context, server string) ([]netip.Addr, error) {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i, address := range addresses {
		addresses[i] = address.Unmap()
	}
	return addresses, err
}
