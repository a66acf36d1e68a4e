package gate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// asked are the logins that programs of peer ask for; "" are root's.
func (p *place) asked(peer string) *place {
	gate := *p.Gate
	gate.Peer = peer
	return &place{Gate: &gate, now: p.now, people: p.people}
}

// What a program without the password does keeps nobody out but programs of
// that user, in every direction.
func TestPeersLockThemselvesAloneOut(t *testing.T) {
	peers := []string{"", "uid 33", "uid 1000"}
	for _, culprit := range peers {
		p := newPlace(t)
		p.Config.Policy.Attempts.PerSource = 10
		p.enroll("alice")
		for range 20 {
			p.asked(culprit).login("alice", says("000001", "000002", "000003"))
		}
		for _, other := range peers {
			p.now = p.now.Add(30 * time.Second)
			verdict := p.asked(other).login("alice", says(p.code(t, "alice", 0)))
			if other == culprit {
				expect(t, verdict, TooMany, "policy.attempts.per_window")
				if strings.Contains(verdict.Reason, ", for programs of "+other+" alone") != (other != "") {
					t.Errorf("reason: %s", verdict.Reason)
				}
				continue
			}
			expect(t, verdict, Accept, "totp:phone")
		}
		// A right code elsewhere is no reason to let the culprit guess on.
		talk := says("000001")
		p.asked(culprit).login("alice", talk)
		if talk.asked != 0 {
			t.Errorf("%q may guess on", culprit)
		}
	}
}

// However many ask, there are not many more guesses.
func TestGuessesOfAllPeers(t *testing.T) {
	p := newPlace(t)
	p.enroll("alice")
	peers := []string{"", "uid 33", "uid 108", "uid 1000"}
	guesses := 0
	for end := p.now.Add(7 * 24 * time.Hour); p.now.Before(end); p.now = p.now.Add(10 * time.Minute) {
		for _, peer := range peers {
			for range 5 {
				talk := says("000001", "000002", "000003")
				p.asked(peer).login("alice", talk)
				guesses += talk.asked
			}
		}
	}
	if most := len(peers) * 150; guesses > most {
		t.Errorf("%d guesses in a week, want at most %d", guesses, most)
	}
}

// The owner is told, and of a password only if somebody has shown it.
func TestOwnerIsToldOfPeers(t *testing.T) {
	p := newPlace(t)
	p.enroll("alice")
	p.asked("uid 33").login("alice", says("000001", "000002", "000003"))
	p.asked("uid 1000").login("alice", says("000001", "000002"))
	for i, want := range []string{"5 wrong codes were given in your name by programs of this machine", ""} {
		p.now = p.now.Add(30 * time.Second)
		talk := says(p.code(t, "alice", 0))
		expect(t, p.login("alice", talk), Accept, "totp:phone")
		if told := strings.Join(talk.told, "\n"); !strings.Contains(told, want) || (want == "") != (told == "") || strings.Contains(told, "knows your password") {
			t.Errorf("login %d: told %q, want %q", i, told, want)
		}
	}
}

// Messages that a program has sent are its own, too.
func TestPeersSendsAreTheirOwn(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.Email)
	limit := p.Config.Sent.PerHour
	for range 3 * limit {
		p.asked("uid 1000").login("alice", says())
	}
	if len(post.messages) != limit {
		t.Errorf("%d messages, want %d", len(post.messages), limit)
	}
	expect(t, p.login("alice", says(lastCode{post})), Accept, "email:my-email")
	if was, err := p.Unlock(context.Background(), "alice"); err != nil || was.Sent != limit+1 {
		t.Errorf("forgot %+v, %v", was, err)
	}
	p.asked("uid 1000").login("alice", says())
	if len(post.messages) != limit+2 {
		t.Errorf("%d messages after an unlock, want %d", len(post.messages), limit+2)
	}
}

// Unlock frees everybody; what is long over is not kept.
func TestPeersAreForgotten(t *testing.T) {
	p := newPlace(t)
	p.enroll("alice")
	lock := func(peer string) {
		for range 5 {
			p.asked(peer).login("alice", says("000001", "000002", "000003"))
		}
	}
	entry := func() ledger.Entry {
		e, err := p.Ledger.View(context.Background(), userKey(p.people["alice"]))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	lock("uid 33")
	if all := p.PeersLately(entry()); len(all) != 1 || all[0].Name != "uid 33" || all[0].WrongCodes != 10 || all[0].LockedUntil.IsZero() {
		t.Errorf("shown: %+v", all)
	}
	if was, err := p.Unlock(context.Background(), "alice"); err != nil || was.Attempts.Wrong != 10 || was.Attempts.LockedUntil.IsZero() {
		t.Errorf("forgot %+v, %v", was, err)
	}
	if _, source, err := p.UnlockSource(context.Background(), "192.0.2.1"); err != nil || source.Wrong != 10 {
		t.Errorf("forgot %+v of the address, %v", source, err)
	}
	expect(t, p.asked("uid 33").login("alice", says(p.code(t, "alice", 0))), Accept, "totp:phone")
	for i := range 20 {
		lock(fmt.Sprintf("uid %d", i))
		p.now = p.now.Add(24 * time.Hour)
		expect(t, p.login("alice", says(p.code(t, "alice", 0))), Accept, "totp:phone") // is told
	}
	if n := len(entry().Peers); n > 10 {
		t.Errorf("%d peers are kept", n)
	}
}
