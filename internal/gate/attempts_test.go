package gate

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

func TestWrongCodesLock(t *testing.T) {
	p := newPlace(t)
	p.enroll("alice")
	guesses := 0
	for range 20 {
		talk := says("000001", "000002", "000003")
		p.login("alice", talk)
		guesses += talk.asked
	}
	if guesses != 10 {
		t.Errorf("%d guesses in 20 connections, want 10", guesses)
	}
	talk := says(p.code(t, "alice", 0))
	expect(t, p.login("alice", talk), TooMany, "policy.attempts.per_window")
	if talk.asked != 0 || len(talk.told) != 1 {
		t.Errorf("a locked login asked %d times and told %q", talk.asked, talk.told)
	}
	p.now = p.now.Add(10 * time.Minute)
	expect(t, p.login("alice", says(p.code(t, "alice", 0))), Accept, "totp:phone")
	// The right code gave the whole budget back.
	p.now = p.now.Add(time.Minute)
	expect(t, p.login("alice", says("000001", "000002", "000003")), TooMany, "policy.attempts.per_login")
}

// TestWaitingLocksOutBuysFewGuesses plays somebody who has the password and
// guesses whenever it is possible, for a week.
func TestWaitingLocksOutBuysFewGuesses(t *testing.T) {
	p := newPlace(t)
	p.enroll("alice")
	end, guesses := p.now.Add(7*24*time.Hour), 0
	for p.now.Before(end) {
		talk := says("000001")
		p.login("alice", talk)
		if talk.asked > 0 {
			guesses++
			continue
		}
		p.now = p.now.Add(10 * time.Minute)
	}
	if guesses > 150 {
		t.Errorf("%d guesses in a week", guesses)
	}
	t.Logf("%d guesses in a week", guesses)
}

func TestManyPeopleFromOneSourceAreLimited(t *testing.T) {
	p := newPlace(t)
	p.Config.Policy.Attempts.PerSource = 20
	guesses := 0
	for i := range 30 {
		name := fmt.Sprintf("user%d", i)
		p.enroll(name)
		talk := says("000001", "000002", "000003")
		// Another address of the same /64 is the same source.
		request := Request{User: name, Service: "sshd", RemoteHost: fmt.Sprintf("2001:db8::%x", i+1)}
		p.Login(context.Background(), request, talk)
		guesses += talk.asked
	}
	if guesses < 20 || guesses > 23 {
		t.Errorf("%d guesses, want 20 and the rest of one login", guesses)
	}
	expect(t, p.login("user29", says(p.code(t, "user29", 0))), Accept, "totp:phone")
}

func TestOneCodeInManyLoginsAtOnce(t *testing.T) {
	p := newPlace(t)
	p.enroll("alice")
	for range 20 {
		p.now = p.now.Add(time.Minute)
		code := p.code(t, "alice", 0)
		// One entry of the ledger counts wrong codes, so keep the budget away.
		p.Config.Policy.Attempts.PerWindow, p.Config.Policy.Attempts.PerSource = 1000, 100000
		var group sync.WaitGroup
		var mu sync.Mutex
		accepted := 0
		for range 50 {
			group.Go(func() {
				if p.login("alice", says(code)).Decision == Accept {
					mu.Lock()
					accepted++
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if accepted != 1 {
			t.Fatalf("%d logins got in with one code", accepted)
		}
	}
}

func TestManyGuessesAtOnceStayWithinTheBudget(t *testing.T) {
	p := newPlace(t)
	p.enroll("alice")
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() { p.login("alice", says("000001", "000002", "000003")) })
	}
	group.Wait()
	entry, err := p.Ledger.View(context.Background(), ledger.Key{Kind: ledger.User, Name: "alice"})
	if err != nil || entry.Attempts.Wrong != 10 {
		t.Errorf("%d guesses were checked, want 10 (%v)", entry.Attempts.Wrong, err)
	}
}

func TestCountWrong(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var attempts ledger.Attempts
	var locks []time.Duration
	for range 12 {
		countWrong(&attempts, 1, config.Duration(10*time.Minute), now)
		locks = append(locks, attempts.LockedUntil.Sub(now))
		now = attempts.LockedUntil
	}
	want := []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440, 1440}
	for i, lock := range locks {
		if lock != want[i]*time.Minute {
			t.Errorf("lock %d: %v, want %v", i, lock, want[i]*time.Minute)
		}
	}
	if !locked(attempts, now.Add(-time.Second)).Equal(now) || !locked(attempts, now).IsZero() {
		t.Error("locked is off by one")
	}
}

func TestSourceKey(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::/64",
		"fe80::1%eth0": "fe80::/64", "host.example": "host.example",
	} {
		if key, found := sourceKey(Request{RemoteHost: remote}); !found || key.Name != want {
			t.Errorf("%s: %v", remote, key)
		}
	}
	if _, found := sourceKey(Request{}); found {
		t.Error("a local login has a source")
	}
}
