package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/testuid"
	"github.com/otpgate/otpgate/internal/wire"
)

// front is the other end of a dialogue.
type front struct{ net.Conn }

var errDeclined = errors.New("no ready")

// login opens a dialogue and answers its questions in turn.
func (f front) login(start wire.Start, answers ...string) (verdict wire.Verdict, told string, err error) {
	if err := f.open(start); err != nil {
		return 0, "", err
	}
	return f.finish(answers...)
}

func (f front) open(start wire.Start) error {
	if err := wire.WriteStart(f, start); err != nil {
		return fmt.Errorf("%w: %w", errDeclined, err)
	}
	var ready [1]byte
	if _, err := io.ReadFull(f, ready[:]); err != nil || ready[0] != wire.Ready {
		return fmt.Errorf("%w: %x %w", errDeclined, ready, err)
	}
	return nil
}

// finish is login after the opening.
func (f front) finish(answers ...string) (verdict wire.Verdict, told string, err error) {
	for {
		kind, payload, err := f.read()
		switch {
		case err != nil:
			return 0, told, err
		case kind == wire.TypeVerdict:
			if rest, _ := io.ReadAll(f); len(rest) > 0 {
				return 0, told, fmt.Errorf("%q after the verdict", rest)
			}
			return wire.Verdict(payload[0]), told, nil
		}
		told += string(payload[1:]) + "\n"
		if style := wire.Style(payload[0]); style == wire.Info || style == wire.Failure {
			continue
		}
		if len(answers) == 0 {
			return 0, told, errors.New("asked once too often")
		}
		if err := f.reply(answers[0]); err != nil {
			return 0, told, err
		}
		answers = answers[1:]
	}
}

func (f front) reply(answer string) error {
	_, err := f.Write(append([]byte{byte(wire.TypeReply), 0, 0, byte(len(answer) + 1), byte(wire.Answered)}, answer...))
	return err
}

func (f front) read() (wire.Type, []byte, error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(f, header); err != nil {
		return 0, nil, err
	}
	kind := wire.Type(header[0])
	header[0] = 0
	payload := make([]byte, binary.BigEndian.Uint32(header))
	_, err := io.ReadFull(f, payload)
	return kind, payload, err
}

// connect waits in a full queue, as a front does.
func connect(socket string, as func(connect func())) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), socket)
	defer file.Close()
	as(func() { err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket}) })
	if err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	return net.FileConn(file)
}

// asIs connects as who we are.
func asIs(connect func()) { connect() }

func dial(tb testing.TB, socket string) front {
	tb.Helper()
	conn, err := connect(socket, asIs)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return front{conn}
}

// dialAs connects as another user: the kernel tells the other end of the ids
// that the connecting thread has at that moment.
func dialAs(tb testing.TB, uid int, socket string) front {
	tb.Helper()
	conn, err := connect(socket, func(connect func()) {
		_ = testuid.As(uid, func() error { connect(); return nil })
	})
	if err != nil {
		tb.Fatalf("connect as %d: %v", uid, err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return front{conn}
}
