package remotelogin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// ask asks one server. The error is a [fullError] if it can be reached all the same.
func (s *Servers) ask(ctx context.Context, server *server, take remotewire.Take) (*Taken, error) {
	before := server.answers.Load()
	by := s.askDialled
	if server.dials {
		by = s.askIncoming
	}
	taken, busy, err := by(ctx, server, take)
	switch {
	case busy != nil:
		return nil, busy
	case err != nil:
		return nil, server.keptFrom(before, err)
	}
	return taken, nil
}

// askDialled asks over a connection that is kept if that answers. busy is the server's
// own word.
func (s *Servers) askDialled(ctx context.Context, server *server, take remotewire.Take) (taken *Taken, busy, err error) {
	if conn := server.pool.Take(); conn != nil {
		short, cancel := context.WithTimeout(ctx, s.again)
		taken, busy, _ = s.askOver(short, server, conn, take)
		cancel()
		if taken != nil || busy != nil {
			return taken, busy, nil
		}
	}
	end, err := server.opening.begin(ctx, take.Unprivileged)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", server.address, err)
	}
	defer end()
	conn, err := s.connect(ctx, server)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", server.address, err)
	}
	taken, busy, err = s.askOver(ctx, server, conn, take)
	if err != nil {
		err = fmt.Errorf("%s: %w", server.address, s.explain(err))
	}
	return taken, busy, err
}

func (s *Servers) connect(ctx context.Context, server *server) (*tls.Conn, error) {
	key, err := s.key.Key()
	if err != nil {
		return nil, fmt.Errorf("this machine's key: %w; otpctl client init makes one", err)
	}
	bare, err := s.dial(ctx, server.address)
	if err != nil {
		return nil, pinned.Shorter(err)
	}
	conn := pinned.Client(bare, key, s.known)
	if err := conn.HandshakeContext(ctx); err != nil {
		bare.Close()
		return nil, s.explain(err)
	}
	return conn, nil
}

func (s *Servers) known(hash config.KeyHash) error {
	if slices.Contains(s.settings.ServerKeys, hash) {
		return nil
	}
	return UnknownKeyError{hash}
}

// explain says what an alert of the server's means, which says so in few words.
func (s *Servers) explain(err error) error {
	if !pinned.IsRefusal(err) {
		return err
	}
	key, keyErr := s.key.Key()
	if keyErr != nil {
		return err
	}
	return RefusedError{key.Hash, err}
}

// askOver asks over one connection, which is closed unless the login is taken. busy
// is the server's own word that it is not.
func (s *Servers) askOver(ctx context.Context, server *server, conn net.Conn, take remotewire.Take) (taken *Taken, busy, err error) {
	stop := closeWith(ctx, conn)
	answer, err := remotewire.Ask(conn, take)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if answer.Taken || answer.Full {
		server.answers.Add(1)
	}
	switch {
	case err != nil:
		conn.Close()
		if ctx.Err() != nil {
			err = errors.New("it did not answer in time")
		}
		return nil, nil, err
	case !answer.Taken:
		server.pool.Put(conn)
		busy = fmt.Errorf("%s: it takes no login: %s", s.nameOf(server), answer.Busy)
		if answer.Full {
			busy = fullError{busy}
		}
		return nil, busy, nil
	}
	return &Taken{Server: s.nameOf(server), server: server, conn: conn, ledger: answer.Ledger}, nil, nil
}

// closeWith ends what is done with conn when ctx ends. stop is false if it has.
func closeWith(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// Drop lets go of a login before it has begun.
func (t *Taken) Drop() { t.conn.Close() }
