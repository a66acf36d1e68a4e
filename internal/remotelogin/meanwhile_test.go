package remotelogin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/otpgate/otpgate/internal/remotewire"
)

// stuckLogin is one that a server says nothing to, beside others that it answers.
type stuckLogin struct {
	// stuck is closed once it is, and gone has its connection end.
	stuck, gone chan struct{}
}

func newStuckLogin() stuckLogin {
	return stuckLogin{make(chan struct{}), make(chan struct{})}
}

// server answers every Take but that of the stuck login, which is an unprivileged one.
func (l stuckLogin) server(_ *fake, conn *tls.Conn) {
	for {
		take, err := remotewire.ReadTake(conn)
		if err != nil {
			return
		}
		if take.Unprivileged {
			close(l.stuck)
			<-l.gone
			return
		}
		if remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"}) != nil {
			return
		}
	}
}

// firstDial is s.dial, with another first connection.
func (l stuckLogin) firstDial(s *Servers, first func(ctx context.Context) (net.Conn, error)) {
	usual, dials := s.dial, new(atomic.Int32)
	s.dial = func(ctx context.Context, address string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			return usual(ctx, address)
		}
		close(l.stuck)
		return first(ctx)
	}
}

// testMeanwhile has a login stuck, which ends by its connection or by its time. Another
// one may be answered before.
func testMeanwhile(t *testing.T, servers func(t *testing.T, l stuckLogin) *Servers, ends, isAnswered bool) {
	t.Helper()
	l := newStuckLogin()
	s := servers(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	given := make(chan error, 1)
	go func() {
		_, err := s.Take(ctx, remotewire.Take{ID: remotewire.NewID(), Unprivileged: true})
		given <- err
	}()
	<-l.stuck
	if isAnswered {
		other, err := s.Take(t.Context(), remotewire.Take{ID: remotewire.NewID()})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Drop()
	}
	if ends {
		close(l.gone)
	} else {
		defer close(l.gone)
		cancel()
	}
	err := <-given
	var unreachable UnreachableError
	if err == nil || errors.As(err, &unreachable) == isAnswered {
		t.Errorf("%v", err)
	}
}

// A server that answers others while a login gets no answer can be reached, wherever that
// login was when its time was over or its connection ended. One that answers nobody cannot.
func TestOthersAreAnsweredMeanwhile(t *testing.T) {
	dialled := func(t *testing.T, l stuckLogin) *Servers {
		return newServers(t, patience, newFake(t, l.server))
	}
	for where, test := range map[string]struct {
		make func(t *testing.T, l stuckLogin) *Servers
		ends bool // by the connection, not by its time
	}{
		"in the dial": {make: func(t *testing.T, l stuckLogin) *Servers {
			s := dialled(t, l)
			l.firstDial(s, func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			return s
		}},
		"in the handshake": {make: func(t *testing.T, l stuckLogin) *Servers {
			s := dialled(t, l)
			l.firstDial(s, func(context.Context) (net.Conn, error) {
				here, there := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, there) }()
				return here, nil
			})
			return s
		}},
		"after the question":     {make: dialled},
		"until it is cut off":    {make: dialled, ends: true},
		"at a server that dials": {make: twiceIncoming},
	} {
		for name, isAnswered := range map[string]bool{", others are answered": true, ", nobody is answered": false} {
			t.Run(where+name, func(t *testing.T) {
				t.Parallel()
				testMeanwhile(t, test.make, test.ends, isAnswered)
			})
		}
	}
}

// twiceIncoming are two connections that the server has made.
func twiceIncoming(t *testing.T, l stuckLogin) *Servers {
	f := newFake(t, l.server)
	listening := newListening(t, patience, unhurried, nil, f)
	f.dial(t, listening)
	f.dial(t, listening)
	listening.arrives(t, f, 2)
	return listening.Servers
}
