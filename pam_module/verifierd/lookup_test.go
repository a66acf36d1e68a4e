package main

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// heldNames is a name service that answers when the test says so.
type heldNames struct {
	gate.Names
	answer chan struct{}
	err    error
}

func newHeldNames() *heldNames { return &heldNames{answer: make(chan struct{})} }

func (h *heldNames) Canonical(user string) (string, bool, error) {
	<-h.answer
	return user, true, h.err
}

func (h *heldNames) Others(string) ([]string, error) { return []string{"alice", "al"}, nil }

// asksNames has the verifier ask that name service.
func (r *rig) asksNames(t *testing.T, names gate.Names) {
	t.Helper()
	r.settle(t)
	r.server.engines.mu.Lock()
	defer r.server.engines.mu.Unlock()
	r.server.engines.engine.Names = names
}

func accepts(conn *tls.Conn) error {
	_, err := remotewire.ReadTake(conn)
	return errors.Join(err, remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "5f3a"}))
}

// A server is looked for while a name service is asked. One that took the login does
// not wait for that for long, and is told the names afterwards all the same.
func TestServerIsSoughtBesideNames(t *testing.T) {
	names, told := newHeldNames(), make(chan []string, 1)
	var again atomic.Bool
	r, _ := clientOf(t, func(conn *tls.Conn) {
		if accepts(conn) != nil {
			return
		}
		begin, err := remotewire.ReadBegin(conn)
		if !again.Swap(true) {
			if err == nil {
				t.Errorf("%+v came before the names", begin)
			}
			close(names.answer)
			return
		}
		told <- begin.Names
		_ = wire.Peer{Stream: conn}.End(wire.Accept)
	})
	r.asksNames(t, names)
	verdict, _, err := dial(t, r.socket).login(r.start("alice"))
	if verdict != wire.Accept || err != nil {
		t.Fatalf("%v, %v", verdict, err)
	}
	if got := <-told; !slices.Equal(got, []string{"alice", "al"}) {
		t.Errorf("the server was told %q", got)
	}
}

// Names that are in doubt deny, and the server begins nothing.
func TestNamesInDoubt(t *testing.T) {
	names := newHeldNames()
	names.err = errors.New("LDAP is down")
	begun := make(chan bool, 1)
	close(names.answer)
	r, _ := clientOf(t, func(conn *tls.Conn) {
		if accepts(conn) != nil {
			return
		}
		_, err := remotewire.ReadBegin(conn)
		begun <- err == nil
	})
	r.asksNames(t, names)
	if verdict, _, err := dial(t, r.socket).login(r.start("alice")); verdict != wire.Fault || err != nil {
		t.Errorf("%v, %v", verdict, err)
	}
	if line := r.log.take(t, 1)[0]; line.Rule != "name-service" || <-begun {
		t.Errorf("%+v", line)
	}
}

// Who reads that a name service was late is told what to look at.
func TestNamesLate(t *testing.T) {
	late, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&lookup{done: make(chan struct{})}).result(late)
	if !errors.Is(err, errNamesLate) || !strings.Contains(err.Error(), "`getent passwd NAME`") {
		t.Errorf("%v", err)
	}
}

// A name service that hangs together with all servers keeps nobody from a break-glass
// code, but such logins count as open until it answers.
func TestBreakGlassWhileNamesHang(t *testing.T) {
	names := newHeldNames()
	r, codes := clientOf(t, closes)
	r.asksNames(t, names)
	f := dial(t, r.socket)
	if err := f.open(r.start("root")); err != nil {
		t.Fatal(err)
	}
	verdict := wire.Deny
	for done := false; !done; {
		kind, payload, err := f.read()
		switch {
		case err != nil:
			t.Fatal(err)
		case kind == wire.TypeVerdict:
			verdict, done = wire.Verdict(payload[0]), true
		case wire.Style(payload[0]) == wire.EchoOff:
			err = f.reply(codes[0])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if verdict != wire.Accept {
		t.Errorf("%v", verdict)
	}
	if idle := r.server.admission.idle(); idle > 0 {
		t.Errorf("nobody is counted while the name service is still asked (idle for %v)", idle)
	}
	close(names.answer)
	r.settled(t)
}
