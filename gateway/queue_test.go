package main

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/testwait"
)

// fullQueue is a verifier's socket whose queue others have filled. It returns what lets
// them, and whoever comes then, in.
func fullQueue(t *testing.T, path string, verifier func(net.Conn)) (serve func()) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	for err == nil {
		var other net.Conn
		if other, err = net.Dial("unix", path); err == nil {
			t.Cleanup(func() { other.Close() })
		}
	}
	return func() { serveVerifier(listener, verifier) }
}

// A queue of the verifier's that is full for a moment does not put the server out of reach.
func TestVerifierQueueIsFullForAMoment(t *testing.T) {
	r := newRig(t, unhurried, nil, nil)
	serve := fullQueue(t, r.gateway.socket, func(conn net.Conn) {
		if _, err := remotewire.ReadTake(conn); err == nil {
			_ = remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"})
		}
	})
	conn := r.dial(t, r.key)
	answered := make(chan error, 1)
	go func() {
		answer, err := ask(conn)
		if err == nil && !answer.Taken {
			err = errors.New(answer.Busy)
		}
		answered <- err
	}()
	testwait.Until(t, "the gateway connects to the verifier", func() bool { return len(r.gateway.connecting) > 0 || len(answered) > 0 })
	go serve()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}
