package gate

import (
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// A code that shows who somebody is outside of a login is used up, and a wrong one
// counts, as at a login.
func TestProve(t *testing.T) {
	p := newFixture(t)
	// A login would be remembered.
	p.Config.Policy.Session.Duration = 24 * time.Hour
	p.Config.Services = map[string]config.Protocol{"": "ssh"}
	recovery := p.Give("alice")
	prove := func(code string) Proof {
		t.Helper()
		proof, err := p.Prove(t.Context(), p.Known["alice"], "192.0.2.1", code)
		if err != nil {
			t.Fatal(err)
		}
		return proof
	}
	for _, malformed := range []string{"", "12345", "1234567", " 123456"} {
		if proof := prove(malformed); proof != (Proof{Malformed: true}) {
			t.Errorf("%q: %+v", malformed, proof)
		}
	}
	wrong := gatetest.Other(p.Code(t, "alice", -1), p.Code(t, "alice", 0), p.Code(t, "alice", 1))
	if proof := prove(wrong); proof.Outcome != factor.Wrong || !proof.LockedUntil.IsZero() {
		t.Errorf("%+v", proof)
	}
	if proof := prove(p.Code(t, "alice", 0)); proof.Outcome != factor.Right || proof.Rule != "totp:phone" || proof.Unseen != 1 {
		t.Errorf("%+v", proof)
	}
	if proof := prove(p.Code(t, "alice", 0)); proof.Outcome != factor.Used {
		t.Errorf("%+v", proof)
	}
	if proof := prove(recovery[0]); proof.Outcome != factor.Right || proof.Rule != "recovery" || proof.Unseen != 0 {
		t.Errorf("%+v", proof)
	}
	for range p.Config.Policy.Attempts.PerWindow - 1 {
		prove(wrong)
	}
	for _, code := range []string{wrong, p.Code(t, "alice", 1), recovery[1]} {
		if proof := prove(code); proof.Outcome != factor.Wrong || proof.LockedUntil.IsZero() {
			t.Errorf("%+v", proof)
		}
	}
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey("alice"))
	if err != nil || len(entry.Sessions) != 0 || len(entry.Services) != 0 || !entry.LastLogin.IsZero() {
		t.Errorf("it counts as a login: %+v, %v", entry, err)
	}
}

func TestSourceIsCounted(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Attempts.PerSource = 3
	for n := range 3 {
		if until, err := p.SourceLocked(t.Context(), "192.0.2.1"); err != nil || !until.IsZero() {
			t.Errorf("locked after %d until %v, %v", n, until, err)
		}
		if err := p.CountSource(t.Context(), "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	want := p.Clock.Add(p.Config.Policy.Attempts.Window.Duration)
	if until, err := p.SourceLocked(t.Context(), "192.0.2.1"); err != nil || !until.Equal(want) {
		t.Errorf("locked until %v, %v, expected %v", until, err, want)
	}
	p.Give("alice")
	if proof, err := p.Prove(t.Context(), p.Known["alice"], "192.0.2.1", p.Code(t, "alice", 0)); err != nil || proof.Outcome != factor.Wrong || !proof.LockedUntil.Equal(want) {
		t.Errorf("%+v, %v", proof, err)
	}
	if until, err := p.SourceLocked(t.Context(), "192.0.2.2"); err != nil || !until.IsZero() {
		t.Errorf("another address is locked until %v, %v", until, err)
	}
}
