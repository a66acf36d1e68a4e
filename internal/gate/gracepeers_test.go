package gate

import (
	"fmt"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

const fortnight = 14 * 24 * time.Hour

// A server that was taken over asks for anybody, and so lets the grace of people
// pass who have not logged in yet. It is its own alone: when they come they have
// all of it.
func TestPeersBeginTheirOwnGrace(t *testing.T) {
	peers := []string{"", "uid 33", "uid 1000"}
	for name, aliases := range map[string]map[string]string{"a person": {"bob": "bob"}, "a name of the password stage": nil} {
		for _, culprit := range peers[1:] {
			p := required(t, config.Grace{For: fortnight})
			p.Aliases = aliases
			expect(t, p.asked(culprit).login("bob", says()), NotAsked, "policy.grace")
			p.Clock = p.Clock.Add(fortnight)
			expect(t, p.asked(culprit).login("bob", says()), Deny, "policy.unenrolled")
			for _, other := range peers {
				if other != culprit {
					expect(t, p.asked(other).login("bob", says()), NotAsked, "policy.grace")
				}
			}
			if t.Failed() {
				t.Fatalf("%s, after %s", name, culprit)
			}
		}
	}
}

// A grace that a login by root's programs has begun is over for all.
func TestGraceEndsForPeers(t *testing.T) {
	for name, aliases := range map[string]map[string]string{"a person": {"bob": "bob"}, "a name of the password stage": nil} {
		t.Run(name, func(t *testing.T) {
			p := required(t, config.Grace{For: fortnight})
			p.Aliases = aliases
			expect(t, p.login("bob", says()), NotAsked, "policy.grace")
			p.Clock = p.Clock.Add(fortnight - time.Second)
			expect(t, p.asked("uid 33").login("bob", says()), NotAsked, "policy.grace")
			p.Clock = p.Clock.Add(time.Second)
			for _, peer := range []string{"", "uid 33", "uid 108"} {
				expect(t, p.asked(peer).login("bob", says()), Deny, "policy.unenrolled")
			}
		})
	}
}

// otpctl status shows it beside what else they cause.
func TestGraceOfPeersIsShown(t *testing.T) {
	p := required(t, config.Grace{For: fortnight})
	p.Aliases = map[string]string{"bob": "bob"}
	until := p.Clock.Add(fortnight)
	expect(t, p.asked("uid 33").login("bob", says()), NotAsked, "policy.grace")
	p.Clock = p.Clock.Add(time.Hour)
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey("bob"))
	if err != nil {
		t.Fatal(err)
	}
	if all := p.PeersLately(entry); len(all) != 1 || all[0].Name != "uid 33" || !all[0].GraceUntil.Equal(until) {
		t.Errorf("%+v", all)
	}
	if _, begun, err := p.GraceOf(t.Context(), "bob"); begun || err != nil {
		t.Errorf("begun for all: %v, %v", begun, err)
	}
}

// What ends a lock begins no other grace.
func TestGraceOfPeersOutlivesCounts(t *testing.T) {
	p := required(t, config.Grace{For: fortnight})
	p.Aliases = map[string]string{"bob": "bob"}
	expect(t, p.asked("uid 33").login("bob", says()), NotAsked, "policy.grace")
	p.Clock = p.Clock.Add(fortnight)
	err := p.Ledger.Update(t.Context(), ledger.UserKey("bob"), func(entry *ledger.Entry) error {
		p.asked("uid 108").setCounts(entry, ledger.Peer{Attempts: ledger.Attempts{Wrong: 1, LastWrong: p.Clock}})
		entry.Peers = nil // otpctl unlock
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, p.asked("uid 33").login("bob", says()), Deny, "policy.unenrolled")
}

// Nor do the names that a server makes up take the places of those that come to
// root's programs.
func TestPeersMakeUpNames(t *testing.T) {
	p := required(t, config.Grace{For: fortnight})
	p.fillUnknown(t, "uid 33", maxUnknown-1)
	expect(t, p.asked("uid 33").login("made-up", says()), NotAsked, "policy.grace")
	expect(t, p.asked("uid 33").login("carol", says()), Deny, "policy.unenrolled")
	expect(t, p.login("carol", says()), NotAsked, "policy.grace")
}

// Nor do they refuse there somebody whose grace root's programs have begun.
func TestPeersMakeUpNamesBesideAGrace(t *testing.T) {
	p := required(t, config.Grace{For: fortnight})
	expect(t, p.login("carol", says()), NotAsked, "policy.grace")
	p.fillUnknown(t, "uid 33", maxUnknown)
	expect(t, p.asked("uid 33").login("carol", says()), NotAsked, "policy.grace")
	p.Clock = p.Clock.Add(fortnight)
	expect(t, p.asked("uid 33").login("carol", says()), Deny, "policy.unenrolled")
}

// fillUnknown notes so many names that a peer has made up.
func (p *fixture) fillUnknown(t *testing.T, peer string, n int) {
	t.Helper()
	full := map[string]ledger.Use{}
	for i := range n {
		full[fmt.Sprint(i)] = ledger.Use{Step: p.Clock.Unix()}
	}
	if err := p.Ledger.Update(t.Context(), unknownKey(peer), func(entry *ledger.Entry) error { entry.Used = full; return nil }); err != nil {
		t.Fatal(err)
	}
}
