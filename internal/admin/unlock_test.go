package admin

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Messages that a program has sent are its own, too.
func TestPeersSendsAreTheirOwn(t *testing.T) {
	p := newFixture(t)
	post := &gatetest.Sender{}
	p.Sender = post
	p.GiveSent("alice", account.Email)
	limit := p.Config.Sent.PerHour
	for range 3 * limit {
		p.asked("uid 1000").login("alice", says())
	}
	if len(post.Messages) != limit {
		t.Errorf("%d messages, want %d", len(post.Messages), limit)
	}
	expect(t, p.login("alice", says(lastCode{post})), gate.Accept, "email:my-email")
	if was, err := p.Unlock(context.Background(), "alice"); err != nil || was.Sent != limit+1 {
		t.Errorf("forgot %+v, %v", was, err)
	}
	p.asked("uid 1000").login("alice", says())
	if len(post.Messages) != limit+2 {
		t.Errorf("%d messages after an unlock, want %d", len(post.Messages), limit+2)
	}
}

// Unlock frees everybody; what is long over is not kept.
func TestPeersAreForgotten(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	lock := func(peer string) {
		for range 5 {
			p.asked(peer).login("alice", says("000001", "000002", "000003"))
		}
	}
	entry := func() ledger.Entry {
		e, err := p.Ledger.View(context.Background(), ledger.UserKey(p.Known["alice"].User))
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
	if _, source, err := p.UnlockSource(context.Background(), "", "192.0.2.1"); err != nil || source.Wrong != 10 {
		t.Errorf("forgot %+v of the address, %v", source, err)
	}
	expect(t, p.asked("uid 33").login("alice", says(p.Code(t, "alice", 0))), gate.Accept, "totp:phone")
	for i := range 20 {
		lock(fmt.Sprintf("uid %d", i))
		p.Clock = p.Clock.Add(24 * time.Hour)
		expect(t, p.login("alice", says(p.Code(t, "alice", 0))), gate.Accept, "totp:phone") // is told
	}
	if n := len(entry().Peers); n > 10 {
		t.Errorf("%d peers are kept", n)
	}
}
