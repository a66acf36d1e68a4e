package authentication

import (
	"testing"
	"time"
)

// Lookups beyond the most wait for their turn, and only somebody else's goes
// on meanwhile.
func TestLookupsWaitForTheirTurn(t *testing.T) {
	const alice, bob = 1000, 1001
	var l lookups
	never := make(chan time.Time)
	for range maxLookups {
		if !l.begin(alice, never) {
			t.Fatal("expected a turn")
		}
	}
	late := make(chan time.Time)
	close(late)
	if l.begin(alice, late) {
		t.Error("expected no turn in time")
	}
	if !l.begin(bob, never) {
		t.Error("alice's hold up bob's")
	}
	waits := make(chan bool)
	go func() { waits <- l.begin(alice, never) }()
	select {
	case <-waits:
		t.Fatal("expected that it waits")
	case <-time.After(20 * time.Millisecond):
	}
	l.end(alice)
	if !<-waits {
		t.Error("expected the turn that came free")
	}
	for range maxLookups {
		l.end(alice)
	}
	if l.end(bob); len(l.of) != 0 {
		t.Errorf("%d are kept", len(l.of))
	}
}
