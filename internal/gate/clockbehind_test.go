package gate

import (
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/gate/gatetest"
)

// A machine whose clock lost months says so, and not only that codes are wrong.
func TestClockBehindIsForTheLog(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	right := p.Clock
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	code := p.Code(t, "alice", 1)

	p.Clock = right.AddDate(0, -4, 0)
	conversation := says(code, code, code)
	verdict := p.login("alice", conversation)
	expect(t, verdict, TooMany, "policy.attempts.per_login")
	want := "; the machine's clock is behind: it says " + p.Clock.UTC().Format(time.RFC3339) + ", and the last login was at " + right.UTC().Truncate(time.Second).Format(time.RFC3339)
	if !strings.HasSuffix(verdict.Reason, want) {
		t.Errorf("reason %q, want …%q", verdict.Reason, want)
	}
	for _, line := range conversation.told {
		if line != wrongCode {
			t.Errorf("told %q", line)
		}
	}

	// Who has not logged in yet has confirmed a device.
	p.Give("bob")
	p.Clock = gatetest.Confirmed.AddDate(-1, 0, 0)
	verdict = p.login("bob", says(code, code, code))
	if want := ", and the confirmation of phone was at 2026-01-01T00:00:00Z"; !strings.HasSuffix(verdict.Reason, want) {
		t.Errorf("reason %q, want …%q", verdict.Reason, want)
	}
}

// A clock that is right, or set back by minutes, is not blamed.
func TestClockIsNotBlamedForLittle(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	for _, back := range []time.Duration{0, 5 * time.Minute} {
		p.Clock = p.Clock.Add(-back)
		verdict := p.login("alice", says("000000", "000000", "000000"))
		expect(t, verdict, TooMany, "policy.attempts.per_login")
		if strings.Contains(verdict.Reason, "clock") {
			t.Errorf("%v back: reason %q", back, verdict.Reason)
		}
	}
}
