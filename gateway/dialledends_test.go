package main

import (
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/testwait"
)

// Logins that anybody on the client can begin end as many connections as its file lets
// them begin, and leave some for the others.
func TestDialledUnprivilegedLeaveConnections(t *testing.T) {
	const perMinute = 40
	r := newRig(t, unhurried, func(c *clients.Client) { c.PerMinute = perMinute }, takes(t))
	n := newNode(t, r.key, anybody)
	_, c := r.dials(t, n.listener.Addr().String(), func(d *dialler) { d.perMinute = 10 })
	login(t, <-n.arrived)
	c.pass(time.Minute)
	for range perMinute {
		testwait.Until(t, "a connection", func() bool { return len(n.arrived) > 0 })
		conn := <-n.arrived
		if answer, err := remotewire.Ask(conn, remotewire.Take{ID: remotewire.ID{7}, Unprivileged: true}); err != nil || !answer.Taken {
			t.Fatalf("%+v, %v", answer, err)
		}
		conn.Close()
	}
	testwait.Until(t, "a connection for others", func() bool { return len(n.arrived) > 0 })
	login(t, <-n.arrived)
}

// A connection that ends in the moment in which it would have lasted proves nothing,
// and is not counted any more.
func TestDialledEndsAsItLasts(t *testing.T) {
	d := newDialler(&gateway{key: pinned.NewKeyFile("/nonexistent/client.key")}, "dmz1:9153", discard{})
	d.count[trying] = 1
	c := &dialled{dialler: d}
	c.serve(t.Context())
	c.last()
	if d.count != [busy + 1]int{} || d.proven {
		t.Errorf("%v connections, proven %t", d.count, d.proven)
	}
}

// A client that was taken over, and lets this machine in and refuses it in turn, does
// not fill the log.
func TestDialledFillsNoLog(t *testing.T) {
	log := &records{}
	d := newDialler(&gateway{}, "dmz1:9153", log)
	const turns = 1000
	for range turns {
		d.prove()
		d.fail("it refuses this machine's key")
	}
	log.expect(t, "gateway.dial", "one of ")
	if n := len(log.copy()); n > turns/2 {
		t.Errorf("%d lines", n)
	}
}
