// Package ledgersocket lets programs that must stay small use a ledger which another
// program of the same machine reaches: one message to and fro over a Unix socket for
// each question.
//
// The entry points are [Client], which is a [casledger.Registers], and [Answer], which
// answers out of one. The package promises that what is not answered is told apart
// from what was refused, at both ends and in between, so that package casledger
// resolves it; and that the client links nothing of the network.
package ledgersocket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// Client asks at the socket at Path. It holds nothing open between questions, so it
// may be kept while the program at the other end is started anew.
type Client struct{ Path string }

var _ casledger.Registers = Client{}

// Get implements [casledger.Registers].
func (c Client) Get(ctx context.Context, key string) (casledger.Register, error) {
	a := c.ask(ctx, question{kind: askGet, key: key})
	return a.now, a.err
}

// Swap implements [casledger.Registers].
func (c Client) Swap(ctx context.Context, key string, revision int64, value []byte, keep time.Duration) (swapped bool, now casledger.Register, err error) {
	a := c.ask(ctx, question{kind: askSwap, key: key, revision: revision, value: value, keep: keep})
	return a.swapped, a.now, a.err
}

// Close implements [casledger.Registers]: nothing is held open.
func (c Client) Close() error { return nil }

func (c Client) ask(ctx context.Context, q question) answer {
	conn, err := c.connect()
	if err != nil {
		return answer{err: err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if end, limited := ctx.Deadline(); limited {
		// What is wrong is known there, so its time is over a little earlier.
		q.within = max(time.Until(end)*9/10, 1)
	}
	if err := write(conn, q.message()); err != nil {
		return c.lost(err)
	}
	message, err := read(conn)
	if err != nil {
		return c.lost(err)
	}
	a, err := parseAnswer(message, q.kind)
	if err != nil {
		return c.lost(err)
	}
	return a
}

func (c Client) lost(err error) answer {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("it did not answer in time")
	}
	return answer{err: fmt.Errorf("%w from otpgate-ledgerd at %s: %w", casledger.ErrUnavailable, c.Path, err)}
}

// connect takes nobody but root, or whom this program runs as, for the program at
// the other end: anybody else would be told what to remember, and could forget it.
func (c Client) connect() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	conn := os.NewFile(uintptr(fd), c.Path)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: c.Path}); err != nil {
		conn.Close()
		reason := casledger.ErrUnavailable // its queue may be full, or systemd about to start it again
		hint := ""
		switch {
		case errors.Is(err, os.ErrPermission):
			reason = ledger.ErrUnreachable // which asking again does not change
		case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
			hint = "; systemctl enable --now otpgate-ledgerd.socket starts it"
		}
		return nil, fmt.Errorf("%w: connect to otpgate-ledgerd at %s: %w%s", reason, c.Path, err, hint)
	}
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil && peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		err = fmt.Errorf("uid %d listens there, expected root or uid %d", peer.Uid, os.Geteuid())
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("otpgate-ledgerd at %s: %w", c.Path, err)
	}
	return conn, nil
}
