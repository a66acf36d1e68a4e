package gate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// asked are the logins that programs of peer ask for; "" are root's.
func (p *fixture) asked(peer string) *fixture {
	gate := *p.Gate
	gate.Peer = peer
	return &fixture{&gate, p.Machine}
}

// Whose programs are not root's names any service, and that is no login by which an
// admin may know that a changed service of root's works. Of a user who asks the
// verifier for himself none is.
func TestPeersNameNoServiceOfRoots(t *testing.T) {
	for _, test := range []struct {
		peer, service string
		own           bool
		want          int
	}{
		{"", "sshd", false, 1}, {"", "apache", false, 1},
		{"uid 33", "sshd", false, 0}, {"uid 33", "sudo", false, 0}, {"uid 33", "apache", false, 1},
		{"uid 1000", "sshd", true, 0}, {"uid 1000", "apache", true, 0},
	} {
		p := newFixture(t)
		p.Give("alice")
		asked := p.asked(test.peer)
		asked.OwnPrograms = test.own
		v := asked.Login(t.Context(), Request{User: "alice", Service: test.service}, says(p.Code(t, "alice", 0)))
		expect(t, v, Accept, "totp:phone")
		entry, err := p.Ledger.View(t.Context(), ledger.UserKey("alice"))
		if err != nil || len(entry.Services) != test.want {
			t.Errorf("%+v: %+v, %v", test, entry.Services, err)
		}
	}
}

// What a program without the password does keeps nobody out but programs of
// that user, in every direction.
func TestPeersLockThemselvesAloneOut(t *testing.T) {
	peers := []string{"", "uid 33", "uid 1000"}
	for _, culprit := range peers {
		p := newFixture(t)
		p.Config.Policy.Attempts.PerSource = 10
		p.Give("alice")
		for range 20 {
			p.asked(culprit).login("alice", says("000001", "000002", "000003"))
		}
		for _, other := range peers {
			p.Clock = p.Clock.Add(30 * time.Second)
			verdict := p.asked(other).login("alice", says(p.Code(t, "alice", 0)))
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
		conversation := says("000001")
		p.asked(culprit).login("alice", conversation)
		if conversation.asked != 0 {
			t.Errorf("%q may guess on", culprit)
		}
	}
}

// However many ask, there are not many more guesses.
func TestGuessesOfAllPeers(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	peers := []string{"", "uid 33", "uid 108", "uid 1000"}
	guesses := 0
	for end := p.Clock.Add(7 * 24 * time.Hour); p.Clock.Before(end); p.Clock = p.Clock.Add(10 * time.Minute) {
		for _, peer := range peers {
			for range 5 {
				conversation := says("000001", "000002", "000003")
				p.asked(peer).login("alice", conversation)
				guesses += conversation.asked
			}
		}
	}
	if most := len(peers) * 150; guesses > most {
		t.Errorf("%d guesses in a week, want at most %d", guesses, most)
	}
}

// The owner is told, and of a password only if somebody has shown it.
func TestOwnerIsToldOfPeers(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.asked("uid 33").login("alice", says("000001", "000002", "000003"))
	p.asked("uid 1000").login("alice", says("000001", "000002"))
	for i, want := range []string{"5 wrong codes were given in your name by programs of this machine", ""} {
		p.Clock = p.Clock.Add(30 * time.Second)
		conversation := says(p.Code(t, "alice", 0))
		expect(t, p.login("alice", conversation), Accept, "totp:phone")
		if told := strings.Join(conversation.told, "\n"); !strings.Contains(told, want) || (want == "") != (told == "") || strings.Contains(told, "knows your password") {
			t.Errorf("login %d: told %q, want %q", i, told, want)
		}
	}
}

// Nor do they push out a code that waits for another server, or what is known of
// one that comes late; and their codes are not that server's.
func TestPeersCarryTheirOwn(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.Email)
	expect(t, p.carrying("alice", "", "ftp"), TooMany, "email:my-email")
	waits := post.Last()
	p.login("alice", says(errors.New("gone")))
	late := post.Last()
	server := p.asked("uid 33")
	for range 10 {
		expect(t, server.carrying("alice", "", "ftp"), TooMany, "email:my-email")
	}
	expect(t, p.carrying("alice", post.Last(), "ftp"), TooMany, "code")
	expect(t, server.carrying("alice", waits, "ftp"), TooMany, "code")
	if verdict := p.login("alice", says(late)); !strings.Contains(verdict.Reason, "0 wrong, 1 used before") {
		t.Errorf("a code that came late: %+v", verdict)
	}
	expect(t, p.carrying("alice", waits, "ftp"), Accept, "email:my-email")
	expect(t, server.carrying("alice", post.Messages[len(post.Messages)-2].Code, "ftp"), Accept, "email:my-email")
}

// A server that was taken over names any service and any address beside a code that
// somebody gave it. That login is remembered for its own programs alone: elsewhere
// the next one would need the password alone. Nor is it told where others are
// remembered.
func TestSessionOfOnePeer(t *testing.T) {
	peers := []string{"", "uid 33", "uid 108"}
	for _, opener := range peers {
		p := sessions(t)
		expect(t, p.asked(opener).from("203.0.113.9", "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
		for _, peer := range peers {
			if peer == opener {
				expect(t, p.asked(peer).from("203.0.113.9", "ssh", says()), NotAsked, "policy.session")
				continue
			}
			expect(t, p.asked(peer).from("203.0.113.9", "ssh", says()), Deny, "no-answer")
		}
		// Each has its own, and the one takes no other's place.
		p.Clock = p.Clock.Add(30 * time.Second)
		other := peers[(slices.Index(peers, opener)+1)%len(peers)]
		expect(t, p.asked(other).from("203.0.113.9", "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
		expect(t, p.asked(opener).from("203.0.113.9", "ssh", says()), NotAsked, "policy.session")
		entry, err := p.Ledger.View(t.Context(), ledger.UserKey("alice"))
		if err != nil || len(entry.Sessions) != 2 || entry.Sessions[0].Peer != opener || entry.Sessions[1].Peer != other {
			t.Fatalf("%+v, %v", entry.Sessions, err)
		}
		for _, s := range entry.Sessions {
			if until, counts := p.SessionUntil(p.Known["alice"], s); !counts || until.IsZero() {
				t.Errorf("of %q, not listed: %v, %v", s.Peer, until, counts)
			}
		}
	}
}
