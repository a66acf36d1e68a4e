package main

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
)

// duringDeadline is a connection on which something happens while its first deadline
// is set, and which ends at the first read.
type duringDeadline struct {
	net.Conn
	happens func()
	until   time.Time
	waited  bool
}

func (d *duringDeadline) SetDeadline(at time.Time) error {
	if happens := d.happens; happens != nil {
		d.happens = nil
		happens()
	}
	d.until = at
	return nil
}

func (d *duringDeadline) Read([]byte) (int, error) {
	d.waited = d.waited || time.Now().Before(d.until)
	return 0, io.EOF
}

func (d *duringDeadline) Write(text []byte) (int, error) { return len(text), nil }

// A connection that is about to wait for a login when the gateway is told to end does
// not wait.
func TestDrainWhileAboutToWait(t *testing.T) {
	text, err := pinned.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pinned.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	settings := config.Config{Gateway: &config.Gateway{Key: "/nonexistent/key", Clients: "/nonexistent/clients"}}
	g := newGateway(settings, unhurried, audit.Sink(discard{}))
	bare := &duringDeadline{happens: func() {
		if err := g.drain(time.Minute); err != nil {
			t.Error(err)
		}
	}}
	none := func() {}
	conn := pinned.Server(bare, key, func(config.KeyHash) error { return nil })
	if err := g.session(session{conn: conn, from: netip.MustParseAddr("192.0.2.1"), idle: time.Minute, taken: none, ended: none}); err != nil {
		t.Error(err)
	}
	if bare.waited {
		t.Error("it waits for the next login of a client")
	}
}

type discard struct{}

func (discard) Write(audit.Record) {}
