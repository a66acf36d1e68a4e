package gate

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// On a client without a server the policy decides what it can without secret files
// and ledger, and all else is denied.
func TestClientAlone(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.Config.Policy.Exempt = []config.Selector{"backup"}
	p.Config.Policy.TrustedNetworks = []config.Network{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}
	p.Config.Remote = &config.Remote{Servers: []string{"h:1"}}
	expect(t, p.login("backup", says()), NotAsked, "policy.exempt")
	for _, name := range []string{"alice", "carol"} {
		expect(t, p.login(name, says(p.Code(t, "alice", 0))), Fault, "remote")
		for _, from := range []string{"10.0.0.1", "192.0.2.1"} {
			here := from == "10.0.0.1"
			if p.DecidedHere(Request{User: name, Service: "sshd", RemoteHost: from}) != here {
				t.Errorf("%s from %s", name, from)
			}
		}
	}
	if !p.DecidedHere(Request{User: "backup"}) || !p.DecidedHere(Request{User: "../x"}) {
		t.Error("not decided here")
	}
	if n, err := p.Split(t.Context(), Request{User: "alice", Service: "sshd"}, nil); n != 0 || err == nil {
		t.Errorf("split: %d, %v", n, err)
	}
}

// Wrong codes by one client lock that client's logins, for whomever, and those of no
// other one.
func TestWrongCodesOfOneClient(t *testing.T) {
	p := newFixture(t)
	p.Client, p.ClientWrong = "web1", 6
	names := []string{"anna", "bert", "carl"}
	for _, name := range names {
		p.Give(name)
		const wrong = "000000"
		for step := -1; step <= 1; step++ {
			if p.Code(t, name, step) == wrong {
				t.Fatalf("%s is a code of %s", wrong, name)
			}
		}
		p.login(name, says(wrong, wrong, wrong))
	}
	p.Give("dora")
	v := p.login("dora", says(p.Code(t, "dora", 0)))
	expect(t, v, TooMany, "client.wrong_codes")
	if !strings.Contains(v.Reason, "otpctl unlock --client web1") {
		t.Errorf("the log says %q", v.Reason)
	}
	p.Client = "web2"
	expect(t, p.login("dora", says(p.Code(t, "dora", 0))), Accept, "totp:phone")
	p.Client = ""
	p.Clock = p.Clock.Add(time.Minute)
	expect(t, p.login("dora", says(p.Code(t, "dora", 0))), Accept, "totp:phone")
	p.Client = "web1"
	p.Clock = p.Clock.Add(p.Config.Policy.Attempts.Window.Duration)
	expect(t, p.login("dora", says(p.Code(t, "dora", 0))), Accept, "totp:phone")
}

// Where a login comes from is its client's word. What a client says of addresses counts
// for that client alone, and what it cannot say does not count for it.
func TestAddressesOfOneClient(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Attempts.PerSource = 3
	p.ClientWrong = 100
	const wrong = "000000"
	for _, name := range []string{"anna", "bert", "carl"} {
		p.Give(name)
		for step := -1; step <= 2; step++ {
			if p.Code(t, name, step) == wrong {
				t.Fatalf("%s is a code of %s", wrong, name)
			}
		}
	}
	p.Client = "web1"
	p.login("anna", says(wrong, wrong, wrong))
	expect(t, p.login("bert", says(p.Code(t, "bert", 0))), TooMany, "policy.attempts.per_source")
	p.Client = "web2"
	expect(t, p.login("bert", says(p.Code(t, "bert", 0))), Accept, "totp:phone")
	p.Client = ""
	expect(t, p.login("bert", says(p.Code(t, "bert", 1))), Accept, "totp:phone")
	p.login("anna", says(wrong, wrong, wrong))
	expect(t, p.login("carl", says(p.Code(t, "carl", 0))), TooMany, "policy.attempts.per_source")
	p.Client = "web2"
	expect(t, p.login("carl", says(p.Code(t, "carl", 0))), Accept, "totp:phone")
}

// A name of a host that is as long as it can be has its count at each client, and no
// name makes one client's count another's.
func TestSourceOfClient(t *testing.T) {
	long := strings.Repeat("x", 255)
	seen := map[ledger.Key]string{}
	for _, client := range []string{"", "web1", "web2", strings.Repeat("w", 64)} {
		for _, remote := range []string{"192.0.2.1", "web1", long, "1/192.0.2.1"} {
			key, found := SourceKey(client, remote)
			if other, known := seen[key]; !found || len(key.Name) > 255 || known {
				t.Errorf("%s at %q: %q, %v, that of %s", remote, client, key.Name, found, other)
			}
			seen[key] = remote + " at " + client
		}
		if key, found := SourceKey(client, ""); found {
			t.Errorf("a local login at %q: %q", client, key.Name)
		}
	}
}

// A client has so many codes sent in an hour, to whomever: one that was taken over
// neither has messages sent to everybody nor spends what they may be sent.
func TestSendsOfOneClient(t *testing.T) {
	p := newFixture(t)
	post := &gatetest.Sender{}
	p.Sender = post
	names := []string{"anna", "bert", "carl", "dora"}
	for _, name := range names {
		p.GiveSent(name, account.Email)
		person := p.Known[name]
		person.Recovery = account.Recovery{} // nothing else is asked for
		p.Known[name] = person
	}
	sent := func(name string) int {
		t.Helper()
		entry, err := p.Ledger.View(t.Context(), ledger.UserKey(name))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := p.SentLately(entry)
		return n
	}
	p.Client, p.ClientWrong, p.ClientSends = "web1", 100, 3
	p.Config.Sent.PerHour = 2
	for range 5 {
		p.login("anna", says())
	}
	if len(post.Messages) != 2 {
		t.Fatalf("%d messages to one person, expected 2", len(post.Messages))
	}
	expect(t, p.login("bert", says(lastCode{post})), Accept, "email:my-email") // anna's refusals count for nobody
	for _, name := range names[2:] {
		expect(t, p.login(name, says()), TooMany, "client.sends_per_hour")
		if n := sent(name); n != 0 {
			t.Errorf("%d of the codes of %s are spent", n, name)
		}
	}
	if len(post.Messages) != 3 {
		t.Errorf("%d messages by one client, expected 3", len(post.Messages))
	}
	p.Client = "web2"
	expect(t, p.login("carl", says(lastCode{post})), Accept, "email:my-email")
	p.Client = "web1"
	// What its ordinary programs have sent counts apart, as wrong codes do.
	p.Peer = "client web1"
	p.login("carl", says())
	p.Peer = ""
	if len(post.Messages) != 5 {
		t.Errorf("%d messages in all, expected 5", len(post.Messages))
	}
	p.Clock = p.Clock.Add(20 * time.Minute)
	expect(t, p.login("dora", says(lastCode{post})), Accept, "email:my-email")
	// A client for which nothing is sent spends nothing.
	p.Clock = p.Clock.Add(24 * time.Hour)
	p.Sender = nil
	expect(t, p.login("dora", says()), Fault, "email:my-email")
	if n := sent("dora"); n != 0 {
		t.Errorf("%d codes were counted, and none was sent", n)
	}
}

// What the client's system calls a person decides whose codes are asked for.
func TestClientNames(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.Groups = map[string][]string{"staff": {"alice"}}
	for given, names := range map[string][]string{"ALICE": {"alice"}, "toor": {"toor", "alice"}, "alice": nil, "Alice": nil} {
		p.Names = ClientNames{User: given, Names: names, Groups: p.Machine}
		if v := p.login(given, says()); v.Rule != "no-answer" {
			t.Errorf("%s, whom the client calls %q: %+v", given, names, v)
		}
	}
	p.Names = ClientNames{User: "bob", Names: []string{"bob"}, Groups: p.Machine}
	expect(t, p.login("bob", says()), NotAsked, "not-enrolled")
	// What this machine's system does not know is doubt: it requires, and exempts
	// nobody.
	p.Config.Policy.Require, p.Config.Policy.Exempt = []config.Selector{"@nowhere"}, []config.Selector{"@nowhere"}
	expect(t, p.login("bob", says()), Deny, "policy.unenrolled")
	if in, err := p.Names.InGroup("alice", "staff"); !in || err != nil {
		t.Errorf("%v, %v", in, err)
	}
}

// A login that was remembered on a client is remembered there alone: the address is the
// client's word.
func TestSessionOfOneClient(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.Config.Policy.Session = config.Duration{Duration: time.Hour}
	login := func() Verdict {
		return p.Login(t.Context(), Request{User: "alice", Service: "sshd", RemoteHost: "192.0.2.9"}, says())
	}
	p.Client, p.ClientWrong = "web1", 10
	v := p.Login(t.Context(), Request{User: "alice", Service: "sshd", RemoteHost: "192.0.2.9"}, says(p.Code(t, "alice", 0)))
	expect(t, v, Accept, "totp:phone")
	expect(t, login(), NotAsked, "policy.session")
	for _, other := range []string{"web2", ""} {
		p.Client = other
		expect(t, login(), Deny, "no-answer")
	}
	p.Client = ""
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey("alice"))
	if err != nil || len(entry.Sessions) != 1 || entry.Sessions[0].Client != "web1" {
		t.Fatalf("%+v, %v", entry.Sessions, err)
	}
	if until, counts := p.SessionUntil(p.Known["alice"], entry.Sessions[0]); !counts || until.IsZero() {
		t.Errorf("not listed: %v, %v", until, counts)
	}
}
