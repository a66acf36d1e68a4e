package gate

import (
	"context"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// What is shown is what a login goes by.
func TestSentLatelyIsWhatLoginsCount(t *testing.T) {
	p := newFixture(t)
	p.Config.Sent.PerHour = 3
	alice := account.Person{User: "alice"}
	entry := func() ledger.Entry {
		e, err := p.Ledger.View(context.Background(), ledger.UserKey(alice.User))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if n, until := p.SentLately(ledger.Entry{}); n != 0 || !until.IsZero() {
		t.Errorf("of nobody: %d, %s", n, until)
	}
	for i, step := range []time.Duration{0, 0, 0, 0, 19 * time.Minute, time.Minute, 0, -time.Hour, 4 * time.Hour, 0} {
		p.Clock = p.Clock.Add(step)
		_, shown := p.SentLately(entry())
		until, err := p.countSend(context.Background(), alice, "123456")
		if err != nil || !until.Equal(shown) {
			t.Errorf("%d: shown %s, counted %s, %v", i, shown, until, err)
		}
		if !shown.IsZero() && !p.Clock.Before(shown) {
			t.Errorf("%d: the next one at %s, which is over", i, shown)
		}
	}
	if n, _ := p.SentLately(entry()); n != 2 {
		t.Errorf("%d count, expected 2", n)
	}
}

// A clock that was wrong for a while, and ahead, must not keep codes back for
// as long.
func TestSendsOfAWrongClock(t *testing.T) {
	p := newFixture(t)
	p.Config.Sent.PerHour = 3
	alice := account.Person{User: "alice"}
	send := func() time.Time {
		t.Helper()
		until, err := p.countSend(context.Background(), alice, "123456")
		if err != nil {
			t.Fatal(err)
		}
		return until
	}
	ahead := p.Clock.Add(365 * 24 * time.Hour)
	right := p.Clock
	p.Clock = ahead
	for range 3 {
		if until := send(); !until.IsZero() {
			t.Fatalf("not before %s", until)
		}
	}
	// A clock that goes back a little forgives nothing.
	p.Clock = ahead.Add(-59 * time.Minute)
	if send().IsZero() {
		t.Error("a code more for a clock that went back")
	}
	p.Clock = right
	for range 3 {
		if until := send(); !until.IsZero() {
			t.Errorf("no code before %s", until)
		}
	}
	if send().IsZero() {
		t.Error("a code more than there may be")
	}
}
