package portalwire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// waited is how long the page waits for all of it. A Confirm can still begin to write the
// secret file when Patience ends, and nothing bounds what a disk takes for that.
const waited = Transfer + Patience + 4*Transfer

// Ask sends a request to the socket at path and returns the answer. The end of ctx ends
// nothing at the other side: whoever gives up a Confirm loses the recovery codes.
func Ask(ctx context.Context, path string, request Request) (Answer, error) {
	if err := request.check(); err != nil {
		return Answer{}, fmt.Errorf("ask the verifier: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, waited)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		hint := ""
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			hint = "; systemctl enable --now otpgate-verifierd-portal.socket starts it"
		}
		return Answer{}, fmt.Errorf("ask the verifier: %w%s", err, hint)
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
// end is the caller's to know. The context of answer ends with ctx, or after [Patience].
// What answer returns is sent even then: it may have changed what cannot be shown again.
func Serve(ctx context.Context, conn net.Conn, answer func(context.Context, Request) (Answer, error)) error {
	defer conn.Close()
	request, err := requested(ctx, conn)
	var said Answer
	if err == nil {
		said, err = within(ctx, request, answer)
	}
	if err == nil {
		err = said.check()
	}
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(Transfer))
	}
	if err == nil {
		err = send(conn, said)
	}
	if err != nil {
		// The other side is told nothing: it gets no answer.
		return fmt.Errorf("answer the page: %w", err)
	}
	return nil
}

// requested is the request of a connection, unless ctx ends before it is there.
func requested(ctx context.Context, conn net.Conn) (request Request, err error) {
	ctx, cancel := context.WithTimeout(ctx, Transfer)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = receive(conn, &request)
	if !stop() { // the deadline of the answer would be lost
		return Request{}, errors.Join(err, ctx.Err())
	}
	if err == nil {
		err = request.check()
	}
	return request, err
}

func within(ctx context.Context, request Request, answer func(context.Context, Request) (Answer, error)) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	said, err := answer(ctx, request)
	if err != nil {
		err = errors.Join(err, ctx.Err())
	}
	return said, err
}
