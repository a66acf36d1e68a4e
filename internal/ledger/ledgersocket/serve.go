package ledgersocket

import (
	"context"
	"io"
	"time"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// patience is how long somebody who connected may take to put a question, and at
// most has to wait for the answer.
const patience = 30 * time.Second

// Conn is a connection that was accepted.
type Conn interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
}

// Answer reads the question on conn, answers it out of registers, and closes conn.
// The error is about who asked: they may have gone, or do not speak this protocol. Who
// may connect is up to the socket's mode.
func Answer(conn Conn, registers casledger.Registers) error {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	message, err := read(conn)
	if err != nil {
		return err
	}
	q, err := parseQuestion(message)
	if err != nil {
		return err
	}
	within := patience
	if q.within > 0 {
		within = min(within, q.within)
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var a answer
	switch q.kind {
	case askGet:
		a.swapped = true
		a.now, a.err = registers.Get(ctx, q.key)
	case askSwap:
		a.swapped, a.now, a.err = registers.Swap(ctx, q.key, q.revision, q.value, q.keep)
	default:
		a = inspect(ctx, registers, q)
	}
	a.key = q.key
	return write(conn, a.message())
}
