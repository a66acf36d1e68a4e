package gate

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

func TestWrongCodesLock(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	guesses := 0
	for range 20 {
		conversation := says("000001", "000002", "000003")
		p.login("alice", conversation)
		guesses += conversation.asked
	}
	if guesses != 10 {
		t.Errorf("%d guesses in 20 connections, want 10", guesses)
	}
	conversation := says(p.Code(t, "alice", 0))
	expect(t, p.login("alice", conversation), TooMany, "policy.attempts.per_window")
	if conversation.asked != 0 || len(conversation.told) != 1 {
		t.Errorf("a locked login asked %d times and told %q", conversation.asked, conversation.told)
	}
	p.Clock = p.Clock.Add(10 * time.Minute)
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	// The right code gave the whole budget back.
	p.Clock = p.Clock.Add(time.Minute)
	expect(t, p.login("alice", says("000001", "000002", "000003")), TooMany, "policy.attempts.per_login")
}

// TestWaitingLocksOutBuysFewGuesses plays somebody who has the password and
// guesses whenever it is possible, for a week.
func TestWaitingLocksOutBuysFewGuesses(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	end, guesses := p.Clock.Add(7*24*time.Hour), 0
	for p.Clock.Before(end) {
		conversation := says("000001")
		p.login("alice", conversation)
		if conversation.asked > 0 {
			guesses++
			continue
		}
		p.Clock = p.Clock.Add(10 * time.Minute)
	}
	if guesses > 150 {
		t.Errorf("%d guesses in a week", guesses)
	}
	t.Logf("%d guesses in a week", guesses)
}

func TestManyPeopleFromOneSourceAreLimited(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Attempts.PerSource = 20
	guesses := 0
	for i := range 30 {
		name := fmt.Sprintf("user%d", i)
		p.Give(name)
		conversation := says("000001", "000002", "000003")
		// Another address of the same /64 is the same source.
		request := Request{User: name, Service: "sshd", RemoteHost: fmt.Sprintf("2001:db8::%x", i+1)}
		p.Login(context.Background(), request, conversation)
		guesses += conversation.asked
	}
	if guesses < 20 || guesses > 23 {
		t.Errorf("%d guesses, want 20 and the rest of one login", guesses)
	}
	expect(t, p.login("user29", says(p.Code(t, "user29", 0))), Accept, "totp:phone")
}

func TestOneCodeInManyLoginsAtOnce(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	for range 20 {
		p.Clock = p.Clock.Add(time.Minute)
		code := p.Code(t, "alice", 0)
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
	p := newFixture(t)
	p.Give("alice")
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

// TestLocksGrow plays somebody who guesses on as soon as each lock has ended,
// and a little later.
func TestLocksGrow(t *testing.T) {
	for _, late := range []time.Duration{0, time.Second, time.Hour} {
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		var attempts ledger.Attempts
		var locks []time.Duration
		for len(locks) < 12 {
			countPerson(&attempts, 10, config.Duration{Duration: 10 * time.Minute}, now)
			if until := locked(attempts, now); !until.IsZero() {
				locks = append(locks, until.Sub(now))
				now = until.Add(late)
			}
		}
		want := []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440, 1440}
		for i, lock := range locks {
			if lock != want[i]*time.Minute {
				t.Errorf("%v late, lock %d: %v, want %v", late, i, lock, want[i]*time.Minute)
			}
		}
	}
}

// A clock that is set back, by whatever step, ends no lock and gives no guess.
func TestClockBackGivesNoGuess(t *testing.T) {
	for _, step := range []time.Duration{time.Second, time.Minute, time.Hour, 25 * time.Hour, 366 * 24 * time.Hour} {
		p := newFixture(t)
		p.Give("alice")
		// Until a lock lasts for a day.
		for range 12 {
			for range 4 {
				p.login("alice", says("000001", "000002", "000003"))
			}
			p.Clock = p.Clock.Add(maxLock)
		}
		for range 4 {
			p.login("alice", says("000001", "000002", "000003"))
		}
		for range 20 {
			p.Clock = p.Clock.Add(-step)
			conversation := says("000001", "000002", "000003")
			p.login("alice", conversation)
			if conversation.asked != 0 {
				t.Fatalf("a step of %s back gave %d guesses", step, conversation.asked)
			}
		}
		// It ends by the clock as it is now.
		p.Clock = p.Clock.Add(maxLock + time.Second)
		expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	}
}

// What the ledger says that no lock can be is none.
func TestLockThatCannotBe(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	attempts := ledger.Attempts{Wrong: 10, LastWrong: now, LockedUntil: now.AddDate(1, 0, 0)}
	if until := locked(attempts, now); !until.IsZero() {
		t.Errorf("locked until %v", until)
	}
}

// TestOwnersLoginsGiveAGuesserLittle plays somebody who guesses nine times
// before each of ten logins a day.
func TestOwnersLoginsGiveAGuesserLittle(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	guesses, warned := 0, 0
	for range 10 * 10 {
		for range 9 {
			conversation := says("000001")
			p.Config.Policy.Attempts.PerLogin = 1
			p.login("alice", conversation)
			guesses += conversation.asked
		}
		p.Clock = p.Clock.Add(144 * time.Minute)
		conversation := says(p.Code(t, "alice", 0))
		expect(t, p.login("alice", conversation), Accept, "totp:phone")
		for _, told := range conversation.told {
			if strings.Contains(told, "somebody knows your password") {
				warned++
			}
		}
	}
	if guesses > 650 || warned < 90 {
		t.Errorf("%d guesses in ten days, the owner was warned %d times", guesses, warned)
	}
	t.Logf("%d guesses in ten days, the owner was warned %d times", guesses, warned)
}

// TestOneCannotLockTheAddressOfAll plays somebody who has a code and gives
// wrong ones all day.
func TestOneCannotLockTheAddressOfAll(t *testing.T) {
	p := newFixture(t)
	p.Give("mallory")
	p.Give("alice")
	for range 24 * 60 {
		for range 9 {
			p.login("mallory", says("000001"))
		}
		p.Clock = p.Clock.Add(time.Minute)
		p.login("mallory", says(p.Code(t, "mallory", 0)))
		expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	}
}

func TestAnAddressIsLockedForTheWindowAlone(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var attempts ledger.Attempts
	window := config.Duration{Duration: 10 * time.Minute}
	for range 1000 {
		countAddress(&attempts, 100, window, now)
	}
	if until := locked(attempts, now); !until.Equal(now.Add(10 * time.Minute)) {
		t.Errorf("locked until %v", until)
	}
	// Some typing mistakes an hour, for a month, lock nobody.
	attempts = ledger.Attempts{}
	for range 30 * 24 * 6 {
		now = now.Add(10 * time.Minute)
		for range 20 {
			countAddress(&attempts, 100, window, now)
		}
		if until := locked(attempts, now); !until.IsZero() {
			t.Fatalf("locked until %v", until)
		}
	}
}

func TestPromptsOpenedBeforeTheLockGiveNoMoreGuesses(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Attempts.PerSource = 20
	var group sync.WaitGroup
	gate := make(chan struct{})
	var opened sync.WaitGroup
	for i := range 100 {
		p.Give(fmt.Sprintf("user%d", i))
	}
	for i := range 100 {
		name := fmt.Sprintf("user%d", i)
		opened.Add(1)
		group.Go(func() {
			request := Request{User: name, Service: "sshd", RemoteHost: "192.0.2.7"}
			p.Login(context.Background(), request, waiting{says("000001", "000002", "000003"), &opened, gate})
		})
	}
	opened.Wait()
	close(gate)
	group.Wait()
	wrong := 0
	for i := range 100 {
		entry, err := p.Ledger.View(context.Background(), ledger.Key{Kind: ledger.User, Name: fmt.Sprintf("user%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		wrong += entry.Attempts.Unseen
	}
	// What is being checked at the instant of the lock, one code a login, comes
	// on top.
	if wrong < 20 || wrong > 20+100 {
		t.Errorf("%d guesses were checked, the budget is 20", wrong)
	}
}

// waiting answers its first prompt when all prompts are open.
type waiting struct {
	*script
	opened *sync.WaitGroup
	gate   chan struct{}
}

func (w waiting) Ask(prompt string) (Answer, error) {
	if w.asked == 0 {
		w.opened.Done()
		<-w.gate
	}
	return w.script.Ask(prompt)
}

// TestRevokedAtThePrompt: what is taken away while a person types is gone.
func TestRevokedAtThePrompt(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	code := p.Code(t, "alice", 0)
	for name, revoke := range map[string]func(){
		"removed":  func() { delete(p.Known, "alice") },
		"disabled": func() { alice := p.Known["alice"]; alice.Enabled = false; p.Known["alice"] = alice },
	} {
		p.Give("alice")
		verdict := p.Login(context.Background(), Request{User: "alice", Service: "sshd"}, revoking{says(code), revoke})
		if verdict.Decision != Deny || verdict.Rule != "not-enrolled" {
			t.Errorf("%s: %+v", name, verdict)
		}
	}
}

type revoking struct {
	*script
	revoke func()
}

func (r revoking) Ask(prompt string) (Answer, error) {
	r.revoke()
	return r.script.Ask(prompt)
}

func TestSourceKey(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::/64",
		"fe80::1%eth0": "fe80::/64", "64:ff9b::c000:201": "64:ff9b::c000:201", "host.example": "host.example",
	} {
		if key, found := SourceKey("", remote); !found || key.Name != want {
			t.Errorf("%s: %v", remote, key)
		}
	}
	if _, found := SourceKey("", ""); found {
		t.Error("a local login has a source")
	}
}
