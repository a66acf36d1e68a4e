package main

import (
	"testing"

	"github.com/otpgate/otpgate/internal/pinned"
)

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
	log := newRecords()
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
