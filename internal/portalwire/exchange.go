package portalwire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Ask sends a request to the socket at path and returns the answer.
func Ask(ctx context.Context, path string, request Request) (Answer, error) {
	if err := request.check(); err != nil {
		return Answer{}, fmt.Errorf("ask the verifier: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return Answer{}, fmt.Errorf("ask the verifier: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var answer Answer
	err = send(conn, request)
	if err == nil {
		// The other side reads to the end: what comes behind a request is refused.
		err = conn.(*net.UnixConn).CloseWrite()
	}
	if err == nil {
		err = receive(conn, &answer)
	}
	if err == nil {
		err = answer.check()
	}
	if err != nil {
		return Answer{}, fmt.Errorf("ask the verifier: %w", errors.Join(err, ctx.Err()))
	}
	return answer, nil
}

// Serve answers the one request of a connection, and closes it. Who is at the other
// end is the caller's to know.
func Serve(ctx context.Context, conn net.Conn, answer func(context.Context, Request) (Answer, error)) error {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var request Request
	err := receive(conn, &request)
	if err == nil {
		err = request.check()
	}
	var said Answer
	if err == nil {
		said, err = answer(ctx, request)
	}
	if err == nil {
		err = said.check()
	}
	if err == nil {
		err = send(conn, said)
	}
	if err != nil {
		// The other side is told nothing: it gets no answer.
		return fmt.Errorf("answer the page: %w", errors.Join(err, ctx.Err()))
	}
	return nil
}
