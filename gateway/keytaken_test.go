package main

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// A key that is taken out of the file while somebody types gets nobody in, and what was
// typed goes nowhere.
func TestKeyTakenOutWhileTyping(t *testing.T) {
	var replies atomic.Int32
	answered := make(chan struct{})
	r := newRig(t, unhurried, nil, func(conn net.Conn) {
		defer close(answered)
		if _, err := remotewire.ReadTake(conn); err != nil {
			return
		}
		_ = remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"})
		if _, err := remotewire.ReadBegin(conn); err != nil {
			return
		}
		if reply, err := (wire.Peer{Stream: conn}).Ask(wire.EchoOff, "Code: "); err == nil && reply.Status == wire.Answered {
			replies.Add(1)
		}
	})
	conn := r.dial(t, r.key)
	if answer, err := ask(conn); err != nil || !answer.Taken {
		t.Fatalf("%+v, %v", answer, err)
	}
	if err := remotewire.WriteBegin(conn, remotewire.Begin{Start: wire.Start{User: "alice", Service: "sshd", Timeout: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	other := newKey(t, "")
	outcome, err := remotewire.Relay(conn, slowTypist{typing: func() {
		r.save(t, func(c *clients.Client) { c.Keys = []config.KeyHash{other.Hash} })
	}})
	if err == nil || outcome.Verdict == wire.Accept {
		t.Errorf("%+v, %v", outcome, err)
	}
	<-answered
	if replies.Load() != 0 {
		t.Error("what was typed reached the verifier")
	}
	r.log.expect(t, "gateway.clients", "while somebody typed: no such client")
}

// slowTypist is one during whose typing something happens.
type slowTypist struct {
	typist
	typing func()
}

func (s slowTypist) Ask(style wire.Style, text string) (wire.Reply, error) {
	s.typing()
	return s.typist.Ask(style, text)
}
