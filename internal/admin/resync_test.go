package admin

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

func TestLoginWithAToken(t *testing.T) {
	p := newFixture(t)
	p.GiveToken("alice", 5)
	expect(t, p.login("alice", says(p.Press(t, "alice", 5))), gate.Accept, "hotp:token")
	expect(t, p.login("alice", says(p.Press(t, "alice", 5), p.Press(t, "alice", 4), p.Press(t, "alice", 26))), gate.Accept, "hotp:token")
	conversation := says(p.Press(t, "alice", 26), p.Press(t, "alice", 20), p.Press(t, "alice", 48))
	verdict := p.login("alice", conversation)
	expect(t, verdict, gate.TooMany, "policy.attempts.per_login")
	if want := "codes: 1 wrong, 2 used before, 0 not in the form of a code; a code of token, 21 codes ahead (see otpctl resync)"; verdict.Reason != want {
		t.Errorf("reason %q, want %q", verdict.Reason, want)
	}
	if conversation.told[0] != usedOfToken || conversation.told[1] != usedOfToken {
		t.Errorf("told %q", conversation.told)
	}
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), gate.Accept, "totp:phone")
}

// The log says by how much a wrong code was off, and the person never learns
// that it was a real one.
func TestNearlyRightCodesAreForTheLog(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	real := []string{p.Code(t, "alice", -7), p.Code(t, "alice", -3)}
	conversation := says(real[0], real[1], "000000")
	verdict := p.login("alice", conversation)
	expect(t, verdict, gate.TooMany, "policy.attempts.per_login")
	if want := "; a code of phone, 3 steps (90 s) behind (see otpctl resync)"; !strings.HasSuffix(verdict.Reason, want) {
		t.Errorf("reason %q, want …%q", verdict.Reason, want)
	}
	for _, line := range conversation.told {
		if line != wrongCode {
			t.Errorf("told %q", line)
		}
	}
	for _, code := range real {
		if strings.Contains(p.Lines(), code) {
			t.Errorf("the code is in the log: %s", p.Lines())
		}
	}
	p.Config.Policy.Attempts.PerWindow = 4
	verdict = p.login("alice", says(p.Code(t, "alice", 40)))
	expect(t, verdict, gate.TooMany, "policy.attempts.per_window")
	if !strings.HasSuffix(verdict.Reason, "Z; a code of phone, 40 steps (1200 s) ahead (see otpctl resync)") {
		t.Errorf("reason %q", verdict.Reason)
	}
}

func TestResync(t *testing.T) {
	p := newFixture(t)
	p.GiveToken("alice", 0)
	off := 960 // eight hours ahead
	expect(t, p.login("alice", says(p.Code(t, "alice", off))), gate.Deny, "no-answer")
	done, err := p.Resync(context.Background(), "alice", "phone", p.Code(t, "alice", off), p.Code(t, "alice", off+1), true)
	if err != nil || done.Ahead != off+1 || done.Factor.ID != "phone" {
		t.Fatalf("%+v, %v", done, err)
	}
	for steps := off - 2; steps <= off+1; steps++ {
		if got := p.login("alice", says(p.Code(t, "alice", steps))); got.Decision == gate.Accept {
			t.Errorf("step %d logs in", steps)
		}
	}
	p.Clock = p.Clock.Add(time.Minute)
	expect(t, p.login("alice", says(p.Code(t, "alice", off))), gate.Accept, "totp:phone")

	done, err = p.Resync(context.Background(), "alice", "token", p.Press(t, "alice", 800), p.Press(t, "alice", 801), false)
	if err != nil || done.Ahead != 800 {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := p.Resync(context.Background(), "alice", "token", p.Press(t, "alice", 800), p.Press(t, "alice", 801), false); !errors.Is(err, factor.ErrOld) {
		t.Errorf("the same again: %v", err)
	}
	expect(t, p.login("alice", says(p.Press(t, "alice", 801), p.Press(t, "alice", 0), p.Press(t, "alice", 802))), gate.Accept, "hotp:token")
}

// A device that is far ahead is to be set right, as its codes count as used for
// as long as it was ahead. Who follows it all the same is told so at the login.
func TestResyncOfADeviceThatIsAhead(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	ctx, off := context.Background(), 960 // eight hours
	resync := func(off int, ahead bool) error {
		_, err := p.Resync(ctx, "alice", "", p.Code(t, "alice", off), p.Code(t, "alice", off+1), ahead)
		return err
	}
	var refused AheadError
	if err := resync(off, false); !errors.As(err, &refused) || !strings.Contains(err.Error(), "961 steps (28830 s) ahead: set the device's clock") {
		t.Fatal(err)
	}
	p.Clock = p.Clock.Add(time.Minute)
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), gate.Accept, "totp:phone") // nothing had changed

	if err := resync(off, true); err != nil {
		t.Fatal(err)
	}
	// The device as it is is told what it always was.
	conversation := says(p.Code(t, "alice", off+1))
	p.login("alice", conversation)
	if conversation.told[0] != usedCode {
		t.Errorf("told %q", conversation.told)
	}
	again := time.Unix(p.Clock.Unix()/30*30+962*30, 0)
	p.Clock = p.Clock.Add(10 * time.Minute)
	first, second := p.Code(t, "alice", 0), p.Code(t, "alice", 1)
	conversation = says(first, second, first)
	verdict := p.login("alice", conversation)
	expect(t, verdict, gate.TooMany, "policy.attempts.per_login")
	for _, line := range conversation.told {
		if !strings.Contains(line, "clock was ahead") || !strings.Contains(line, again.Local().Format("15:04 MST on 2 January")) {
			t.Errorf("told %q", line)
		}
	}
	if !strings.Contains(verdict.Reason, "0 wrong, 3 used before") || !strings.Contains(verdict.Reason, "codes of phone count again from "+again.UTC().Format(time.RFC3339)) {
		t.Errorf("reason %q", verdict.Reason)
	}
	if err := resync(0, true); !errors.Is(err, factor.ErrOld) || !strings.Contains(err.Error(), again.UTC().Format(time.RFC3339)) {
		t.Errorf("a second one: %v", err)
	}
	p.Clock = again
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), gate.Accept, "totp:phone")
}

func TestResyncOfWhich(t *testing.T) {
	p := newFixture(t)
	p.GiveToken("alice", 0)
	ctx := context.Background()
	one, two := p.Press(t, "alice", 30), p.Press(t, "alice", 31)
	if _, err := p.Resync(ctx, "alice", "", one, two, false); !errors.Is(err, ErrSeveralToResync) || !strings.Contains(err.Error(), "phone, token") {
		t.Errorf("%v", err)
	}
	if _, err := p.Resync(ctx, "alice", "gone", one, two, false); !errors.Is(err, ErrNothingToResync) {
		t.Errorf("%v", err)
	}
	if _, err := p.Resync(ctx, "nobody", "", one, two, false); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("%v", err)
	}
	// One that waits for its first code can be astray too, and does not count
	// for that.
	person := p.Known["alice"]
	person.Factors = person.Factors[1:]
	person.Factors[0].Confirmed = time.Time{}
	person.Factors = append(person.Factors, account.Factor{ID: "mail", Kind: account.Email, Confirmed: gatetest.Confirmed})
	p.Known["alice"] = person
	if done, err := p.Resync(ctx, "alice", "", one, two, false); err != nil || done.Factor.ID != "token" {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := p.Resync(ctx, "alice", "mail", one, two, false); !errors.Is(err, factor.ErrNoResync) {
		t.Errorf("%v", err)
	}
	p.Ledger = gatetest.FailingLedger{}
	if _, err := p.Resync(ctx, "alice", "token", one, two, false); err == nil {
		t.Error("resynchronised without a ledger")
	}
}

// Wrong codes are no attempts, and leave no trace.
func TestResyncCountsNothing(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	for range 20 {
		if _, err := p.Resync(context.Background(), "alice", "", "000000", "000001", false); !errors.Is(err, factor.ErrNowhere) {
			t.Fatal(err)
		}
	}
	entry, err := p.Ledger.View(context.Background(), ledger.Key{Kind: ledger.User, Name: "alice"})
	if err != nil || entry.Attempts != (ledger.Attempts{}) || entry.Used != nil {
		t.Errorf("%+v, %v", entry, err)
	}
}

// One code in many logins, and in resynchronisations at the same time.
func TestOneCodeOfATokenAtOnce(t *testing.T) {
	p := newFixture(t)
	p.GiveToken("alice", 0)
	code, next := p.Press(t, "alice", 3), p.Press(t, "alice", 4)
	var wait sync.WaitGroup
	var won atomic.Int32
	for range 20 {
		wait.Go(func() {
			if p.login("alice", says(code)).Decision == gate.Accept {
				won.Add(1)
			}
		})
		wait.Go(func() {
			if _, err := p.Resync(context.Background(), "alice", "token", code, next, false); err == nil {
				won.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("the code was taken %d times", won.Load())
	}
}
