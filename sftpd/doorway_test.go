package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
)

// That an address is turned away is said when it begins, not at each failure,
// and again once it was forgiven.
func TestTurnedAwayIsSaidOnce(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	d := newDoorway(func() time.Time { return now })
	limits := config.SFTPLimits{MaxStartups: 10, StartupsPerSource: 10, Penalties: true}
	address := netip.MustParseAddr("192.0.2.7")
	fail := func() time.Duration { return d.leave(address, penaltyFailed) }
	// All at once, as a guesser does who need not wait.
	for range 6 {
		if !d.enter(address, limits) {
			t.Fatal("turned away before anything failed")
		}
	}
	for n, want := range []time.Duration{0, 0, 0, 5 * time.Second, 0, 0} {
		if closed := fail(); closed != want {
			t.Errorf("failure %d: expected %v, found %v", n+1, want, closed)
		}
	}
	if d.enter(address, limits) {
		t.Error("let in after six failures")
	}
	now = now.Add(time.Hour)
	for n, want := range []time.Duration{0, 0, 0, 5 * time.Second} {
		if !d.enter(address, limits) {
			t.Fatalf("turned away %d failures after an hour", n)
		}
		if closed := fail(); closed != want {
			t.Errorf("an hour later, failure %d: expected %v, found %v", n+1, want, closed)
		}
	}
}
