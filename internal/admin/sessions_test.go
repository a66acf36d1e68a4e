package admin

import (
	"context"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
)

// Somebody who was disabled comes back with nothing that was remembered.
func TestDisablingEndsSessions(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.Config.Policy.Session = config.Duration{Duration: time.Hour}
	f := p.begin(t, "phone")
	if _, err := p.Confirm(context.Background(), "alice", "phone", p.shows(t, f, 0)); err != nil {
		t.Fatal(err)
	}
	p.Clock = p.Clock.Add(time.Minute)
	expect(t, p.login("alice", says(p.shows(t, f, 0))), gate.Accept, "totp:phone")
	expect(t, p.login("alice", says()), gate.NotAsked, "policy.session")
	for _, enabled := range []bool{false, true} {
		if _, changed, err := p.Enable(context.Background(), "alice", enabled); err != nil || !changed {
			t.Fatalf("%v, %v", changed, err)
		}
	}
	expect(t, p.login("alice", says()), gate.Deny, "no-answer")
}
