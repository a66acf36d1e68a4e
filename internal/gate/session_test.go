package gate

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// from is alice's login from an address, by a protocol.
func (p *fixture) from(address string, protocol config.Protocol, conversation *script) Verdict {
	return p.Login(context.Background(), Request{User: "alice", Service: "sshd", Protocol: protocol, RemoteHost: address}, conversation)
}

// sessions gives a place where alice's logins are remembered for a day.
func sessions(t *testing.T) *fixture {
	p := newFixture(t)
	p.Give("alice")
	p.Config.Policy.Session = config.Duration{Duration: 24 * time.Hour}
	return p
}

func TestSessionIsOfPersonProtocolAndAddress(t *testing.T) {
	p := sessions(t)
	p.Give("bob")
	expect(t, p.from("192.0.2.1", "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	conversation := says()
	expect(t, p.from("192.0.2.1", "ssh", conversation), NotAsked, "policy.session")
	expect(t, p.from("::ffff:192.0.2.1", "ssh", says()), NotAsked, "policy.session")
	if conversation.asked != 0 {
		t.Error("a remembered login was asked")
	}
	for _, test := range []Request{
		{User: "alice", Protocol: "ftp", RemoteHost: "192.0.2.1"},
		{User: "alice", Protocol: "ssh", RemoteHost: "192.0.2.2"},
		{User: "alice", Protocol: "ssh", RemoteHost: ""},
		{User: "alice", Protocol: "ssh", RemoteHost: "192.0.2.1.example.com"},
		{User: "alice", Service: "mystery", RemoteHost: "192.0.2.1"},
		{User: "bob", Protocol: "ssh", RemoteHost: "192.0.2.1"},
	} {
		if got := p.Login(context.Background(), test, says()); got.Decision != Deny {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// Everybody with IPv6 has a /64 and another address of it each day, so one is a
// place; where the addresses of a /64 belong to different people it is not.
func TestSessionIsOfOneIPv6Network(t *testing.T) {
	for _, test := range []struct {
		opened, from string
		want         bool
	}{
		{"2001:db8:1:2::10", "2001:db8:1:2:abcd:1:2:3", true},
		{"2001:db8:1:2::10", "2001:db8:1:3::10", false},
		{"2001:db8:1:2::10", "192.0.2.1", false},
		{"192.0.2.1", "2001:db8:1:2::10", false},
		{"fd00:1:2:3::1", "fd00:1:2:3::2", true},
		{"fe80::1%eth0", "fe80::1%eth0", true},
		{"fe80::1%eth0", "fe80::2%eth0", false},
		{"fe80::1%eth0", "fe80::1%eth1", false},
		{"64:ff9b::c000:201", "64:ff9b::c000:202", false},
		{"64:ff9b::c000:201", "64:ff9b::c000:201", true},
		{"2001:0:53aa:64c:1::1", "2001:0:53aa:64c:2::1", false},
	} {
		p := sessions(t)
		expect(t, p.from(test.opened, "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
		if got := p.from(test.from, "ssh", says()); (got.Decision == NotAsked) != test.want {
			t.Errorf("opened from %s, then from %s: %v", test.opened, test.from, got)
		}
	}
	// A login from a second address takes the place of the first.
	p := sessions(t)
	expect(t, p.from("2001:db8::1", "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	p.Clock = p.Clock.Add(25 * time.Hour)
	expect(t, p.from("2001:db8::2", "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	entry, err := p.Ledger.View(context.Background(), ledger.UserKey("alice"))
	if err != nil {
		t.Fatal(err)
	}
	var counting int
	for _, s := range entry.Sessions {
		if _, counts := p.SessionUntil(p.Known["alice"], s); counts {
			counting++
		}
	}
	if counting != 1 {
		t.Errorf("expected one place, found %+v", entry.Sessions)
	}
}

func TestWhatIsNoAddressIsNotRemembered(t *testing.T) {
	p := sessions(t)
	for _, remote := range []string{"", "client.example.com", "localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::%eth0"} {
		p.Clock = p.Clock.Add(time.Minute)
		expect(t, p.from(remote, "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
		expect(t, p.from(remote, "ssh", says()), Deny, "no-answer")
	}
}

func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(*fixture){
		"in time":             func(p *fixture) { p.Clock = p.Clock.Add(24 * time.Hour) },
		"with a clock back":   func(p *fixture) { p.Clock = p.Clock.Add(-time.Minute) },
		"by a shorter policy": func(p *fixture) { p.Clock = p.Clock.Add(2 * time.Hour); p.Config.Policy.Session.Duration = time.Hour },
		"by no policy":        func(p *fixture) { p.Config.Policy.Session.Duration = 0 },
		"on the protocol":     func(p *fixture) { p.Config.Policy.Sessions = map[string]config.Duration{"ssh": {}} },
		"with the factor": func(p *fixture) {
			person := p.Known["alice"]
			person.Factors[0].Secret = account.Secret("another secret, 20 b")
			p.Known["alice"] = person
		},
		"with a second one": func(p *fixture) {
			person := p.Known["alice"]
			person.Factors = append(person.Factors, person.Factors[0])
			p.Known["alice"] = person
		},
	} {
		p := sessions(t)
		expect(t, p.from("192.0.2.1", "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
		p.Clock = p.Clock.Add(time.Minute)
		expect(t, p.from("192.0.2.1", "ssh", says()), NotAsked, "policy.session")
		p.Clock = p.Clock.Add(-time.Minute)
		end(p)
		if got := p.from("192.0.2.1", "ssh", says()); got.Decision != Deny {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPerProtocolSession(t *testing.T) {
	p := sessions(t)
	p.Config.Policy.Session.Duration = 0
	p.Config.Policy.Sessions = map[string]config.Duration{"https": {Duration: time.Hour}}
	expect(t, p.from("192.0.2.1", "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	expect(t, p.from("192.0.2.1", "ssh", says()), Deny, "no-answer")
	expect(t, p.from("192.0.2.1", "https", says(p.Code(t, "alice", 1))), Accept, "totp:phone")
	expect(t, p.from("192.0.2.1", "https", says()), NotAsked, "policy.session")
}

// A client that sends the same code with many requests at once gets in with
// all of them where a session was opened, and with one where not.
func TestManyAtOnceWithOneCode(t *testing.T) {
	for _, span := range []time.Duration{0, time.Hour} {
		p := sessions(t)
		p.Config.Policy.Session.Duration = span
		code := p.Code(t, "alice", 0)
		var wait sync.WaitGroup
		var mu sync.Mutex
		count := map[Decision]int{}
		for range 30 {
			wait.Go(func() {
				got := p.from("192.0.2.1", "https", says(code, Answer{Password: true}))
				mu.Lock()
				defer mu.Unlock()
				count[got.Decision]++
			})
		}
		wait.Wait()
		if in := count[Accept] + count[NotAsked]; count[Accept] != 1 || (span > 0) != (in == 30) {
			t.Errorf("session %v: %v", span, count)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	p := sessions(t)
	p.Config.TOTP.Window = 0
	for i := range maxSessions + 5 {
		p.Clock = p.Clock.Add(30 * time.Second)
		expect(t, p.from(fmt.Sprintf("192.0.2.%d", i), "ssh", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	}
	entry, err := p.Ledger.View(context.Background(), ledger.UserKey(p.Known["alice"].User))
	if err != nil || len(entry.Sessions) != maxSessions {
		t.Errorf("%d sessions, %v", len(entry.Sessions), err)
	}
	expect(t, p.from("192.0.2.0", "ssh", says()), Deny, "no-answer")
	expect(t, p.from(fmt.Sprintf("192.0.2.%d", maxSessions+4), "ssh", says()), NotAsked, "policy.session")
}

// What otpctl test says is what the login then does.
func TestNeedKnowsSessions(t *testing.T) {
	p := sessions(t)
	request := Request{User: "alice", Protocol: "ssh", RemoteHost: "192.0.2.1"}
	for _, want := range []struct {
		code CodeNeed
		rule string
	}{{Asked, "enrolled"}, {NoCode, "policy.session"}} {
		need, err := p.Need(context.Background(), request)
		if err != nil || need.Code != want.code || need.Rule != want.rule {
			t.Errorf("%+v, %v; expected %+v", need, err, want)
		}
		p.Login(context.Background(), request, says(p.Code(t, "alice", 0)))
	}
}
