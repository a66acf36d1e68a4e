package gate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// fixture is a gate on a machine that tests set.
type fixture struct {
	*Gate
	*gatetest.Machine
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	store, err := ledger.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	m := gatetest.New()
	return &fixture{&Gate{Config: config.Default(), Accounts: m, Ledger: store, Names: m, Audit: m, Now: func() time.Time { return m.Clock }}, m}
}

// write makes the person's secret file in dir.
func write(t *testing.T, dir string, person account.Person) {
	t.Helper()
	users, err := account.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	err = users.Change(person.User, func(before *account.Person) error {
		*before = person
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// script is a conversation that answers from a list.
type script struct {
	answers []any // string, Answer or error
	asked   int
	told    []string
}

func says(answers ...any) *script { return &script{answers: answers} }

func (s *script) Ask(prompt string) (Answer, error) {
	s.asked++
	if len(s.answers) == 0 {
		return Answer{}, errors.New("no more answers")
	}
	next := s.answers[0]
	s.answers = s.answers[1:]
	switch next := next.(type) {
	case string:
		return Answer{Text: next}, nil
	case Answer:
		return next, nil
	case lastCode:
		return Answer{Text: next.Last()}, nil
	case func() any:
		return Answer{Text: next().(string)}, nil
	}
	return Answer{}, next.(error)
}

func (s *script) Tell(_ Tone, text string) { s.told = append(s.told, text) }

func (p *fixture) login(user string, conversation *script) Verdict {
	return p.Login(context.Background(), Request{User: user, Service: "sshd", RemoteHost: "192.0.2.1"}, conversation)
}

func expect(t *testing.T, got Verdict, decision Decision, rule string) {
	t.Helper()
	if got.Decision != decision || got.Rule != rule {
		t.Errorf("got %s by %s (%s), want %s by %s", got.Decision, got.Rule, got.Reason, decision, rule)
	}
}

func TestRightCodeOnce(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	code := p.Code(t, "alice", 0)
	expect(t, p.login("alice", says(code)), Accept, "totp:phone")
	conversation := says(code, code, code)
	expect(t, p.login("alice", conversation), TooMany, "policy.attempts.per_login")
	if conversation.told[0] != usedCode {
		t.Errorf("told %q", conversation.told)
	}
	p.Clock = p.Clock.Add(30 * time.Second)
	expect(t, p.login("alice", says("000000", p.Code(t, "alice", 0))), Accept, "totp:phone")
	if last := p.Log()[len(p.Log())-1].Line(); last != "user=alice service=sshd protocol=ssh remote=192.0.2.1 verdict=accepted rule=totp:phone" {
		t.Errorf("audit: %s", last)
	}
}

func TestRecoveryCodeOnce(t *testing.T) {
	p := newFixture(t)
	codes := p.Give("alice")
	bobs := p.Give("bob")
	conversation := says(codes[3])
	expect(t, p.login("alice", conversation), Accept, "recovery")
	if len(conversation.told) != 1 || !strings.Contains(conversation.told[0], "You have 9 left") {
		t.Errorf("told %q", conversation.told)
	}
	expect(t, p.login("alice", says(codes[3], bobs[0], p.Known["alice"].Recovery.Hashes[0])), TooMany, "policy.attempts.per_login")
}

func TestOddAnswersNeverPass(t *testing.T) {
	for _, answer := range []any{"", " ", "\x00", "\x03", strings.Repeat("9", 5000), "email", "sms", errors.New("ctrl-c"), Answer{Password: true}, Answer{}} {
		p := newFixture(t)
		p.Give("alice")
		code := p.Code(t, "alice", 0)
		for _, odd := range []any{answer, code + " ", " " + code, code + "\n"} {
			if got := p.login("alice", says(odd)); got.Decision == Accept || got.Decision == NotAsked {
				t.Errorf("%q: %v", odd, got)
			}
		}
		if entry, _ := p.Ledger.View(context.Background(), ledger.Key{Kind: ledger.User, Name: "alice"}); entry.Attempts.Wrong != 0 {
			t.Errorf("%q cost an attempt", answer)
		}
		expect(t, p.login("alice", says(code)), Accept, "totp:phone")
	}
}

// The password in answer to the code prompt, twice, is a host that cannot ask:
// the log says what to set where. Once it is a slip, which costs nothing.
func TestPasswordAtTheCodePrompt(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	password := Answer{Password: true}
	conversation := says(password, password)
	got := p.login("alice", conversation)
	expect(t, got, TooMany, "password-repeated")
	if conversation.asked != 2 || !strings.Contains(got.Reason, "KbdInteractiveAuthentication yes") {
		t.Errorf("asked %d times, %s", conversation.asked, got.Reason)
	}
	got = p.Login(context.Background(), Request{User: "alice", Service: "sudo"}, says(password, password))
	expect(t, got, TooMany, "password-repeated")
	if strings.Contains(got.Reason, "sshd") || !strings.Contains(got.Reason, "split") {
		t.Errorf("sudo: %s", got.Reason)
	}
	for range 20 {
		conversation = says(password, "000", password, "000", password, "000")
		expect(t, p.login("alice", conversation), TooMany, "policy.attempts.per_login")
	}
	conversation = says(password, p.Code(t, "alice", 0))
	expect(t, p.login("alice", conversation), Accept, "totp:phone")
	if told := strings.Join(conversation.told, "\n"); !strings.Contains(told, "That was your password. Type the verification code here.") {
		t.Errorf("told %q", told)
	}
}

// setting is a change of the place that a test of the policy makes.
type setting func(t *testing.T, p *fixture)

func policy(change func(*config.Policy)) setting {
	return func(_ *testing.T, p *fixture) { change(&p.Config.Policy) }
}

func require(who ...config.Selector) setting {
	return policy(func(c *config.Policy) { c.Require = who })
}

func exempt(who ...config.Selector) setting {
	return policy(func(c *config.Policy) { c.Exempt = who })
}

func trust(network string) setting {
	return func(t *testing.T, p *fixture) {
		var n config.Network
		if err := n.UnmarshalText([]byte(network)); err != nil {
			t.Fatal(err)
		}
		p.Config.Policy.TrustedNetworks = append(p.Config.Policy.TrustedNetworks, n)
	}
}

// ofAlice changes her secret file.
func ofAlice(change func(*account.Person)) setting {
	return func(_ *testing.T, p *fixture) {
		alice := p.Known["alice"]
		change(&alice)
		p.Known["alice"] = alice
	}
}

func TestPolicy(t *testing.T) {
	disabled := ofAlice(func(a *account.Person) { a.Enabled = false })
	unconfirmed := ofAlice(func(a *account.Person) { a.Factors[0].Confirmed = time.Time{} })
	alice := Request{User: "alice", Service: "sshd", RemoteHost: "192.0.2.1"}
	bob := Request{User: "bob", Service: "sshd", RemoteHost: "192.0.2.1"}
	with := func(r Request, change func(*Request)) Request { change(&r); return r }
	for _, test := range []struct {
		name     string
		settings []setting
		request  Request
		want     CodeNeed
		rule     string
	}{
		{"enrolled", nil, alice, Asked, "enrolled"},
		{"not enrolled", nil, bob, NoCode, "not-enrolled"},
		{"required and not enrolled", []setting{require("@all")}, bob, Refused, "policy.unenrolled"},
		{"required by name", []setting{require("bob")}, bob, Refused, "policy.unenrolled"},
		{"required by group", []setting{require("@staff")}, bob, Refused, "policy.unenrolled"},
		{"another group", []setting{require("@robots")}, bob, NoCode, "not-enrolled"},
		{"unknown group requires", []setting{require("@gone")}, bob, Refused, "policy.unenrolled"},
		{"allowed", []setting{require("@all"), policy(func(c *config.Policy) { c.Unenrolled = config.Allow })}, bob, NoCode, "policy.unenrolled"},
		{"zero choice refuses", []setting{require("@all"), policy(func(c *config.Policy) { c.Unenrolled = "" })}, bob, Refused, "policy.unenrolled"},
		{"exempt", []setting{require("@all"), exempt("alice")}, alice, NoCode, "policy.exempt"},
		{"exempt by group", []setting{require("@all"), exempt("@robots")}, with(alice, func(r *Request) { r.User = "robot" }), NoCode, "policy.exempt"},
		{"unknown group exempts nobody", []setting{exempt("@gone")}, alice, Asked, "enrolled"},
		{"exempt in another spelling", []setting{require("@all"), exempt("backup")}, with(bob, func(r *Request) { r.User = "BACKUP" }), Refused, "policy.unenrolled"},
		{"trusted network", []setting{trust("192.0.2.0/24")}, alice, NoCode, "policy.trusted_networks"},
		{"trusted address", []setting{trust("192.0.2.1")}, alice, NoCode, "policy.trusted_networks"},
		{"trusted, IPv4 in IPv6", []setting{trust("192.0.2.0/24")}, with(alice, func(r *Request) { r.RemoteHost = "::ffff:192.0.2.9" }), NoCode, "policy.trusted_networks"},
		{"trusted IPv6", []setting{trust("2001:db8::/32")}, with(alice, func(r *Request) { r.RemoteHost = "2001:db8:1::9" }), NoCode, "policy.trusted_networks"},
		{"trusted link-local with zone", []setting{trust("fe80::/10")}, with(alice, func(r *Request) { r.RemoteHost = "fe80::1%eth0" }), NoCode, "policy.trusted_networks"},
		{"other network", []setting{trust("198.51.100.0/24")}, alice, Asked, "enrolled"},
		{"a name is no address", []setting{trust("0.0.0.0/0")}, with(alice, func(r *Request) { r.RemoteHost = "192.0.2.1.example.com" }), Asked, "enrolled"},
		{"no remote host", []setting{trust("0.0.0.0/0")}, with(alice, func(r *Request) { r.RemoteHost = "" }), Asked, "enrolled"},
		{"protocol off", []setting{policy(func(c *config.Policy) { c.Protocols = []config.Protocol{"sudo"} })}, alice, NoCode, "policy.protocols"},
		{"protocol on", []setting{policy(func(c *config.Policy) { c.Protocols = []config.Protocol{"ssh"} })}, alice, Asked, "enrolled"},
		{"argument wins over service", []setting{policy(func(c *config.Policy) { c.Protocols = []config.Protocol{"sudo"} })}, with(alice, func(r *Request) { r.Protocol = "sudo" }), Asked, "enrolled"},
		{"unknown service cannot be off", []setting{policy(func(c *config.Policy) { c.Protocols = []config.Protocol{"sudo"} })}, with(alice, func(r *Request) { r.Service = "mystery" }), Asked, "enrolled"},
		{"own protocols", []setting{ofAlice(func(a *account.Person) { a.Protocols = []config.Protocol{"sftp"} })}, alice, NoCode, "user.protocols"},
		{"own protocols win", []setting{policy(func(c *config.Policy) { c.Protocols = []config.Protocol{"sudo"} }), ofAlice(func(a *account.Person) { a.Protocols = []config.Protocol{"ssh"} })}, alice, Asked, "enrolled"},
		{"disabled", []setting{disabled}, alice, NoCode, "not-enrolled"},
		{"disabled but required", []setting{disabled, require("@all")}, alice, Refused, "policy.unenrolled"},
		{"unconfirmed does not count", []setting{unconfirmed}, alice, NoCode, "not-enrolled"},
		{"unconfirmed but required", []setting{unconfirmed, require("@all")}, alice, Refused, "policy.unenrolled"},
		{"other spelling of an enrolled name", nil, with(alice, func(r *Request) { r.User = "ALICE" }), Asked, "enrolled"},
		{"other spelling of a required name", []setting{require("bob")}, with(bob, func(r *Request) { r.User = "BOB" }), Refused, "policy.unenrolled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			expectNeed(t, test.settings, test.request, test.want, test.rule)
		})
	}
}

// expectNeed has the policy of a place so set want a code or none of a login,
// and a login without an answer end as that has it, with a line in the log.
func expectNeed(t *testing.T, settings []setting, request Request, want CodeNeed, rule string) {
	t.Helper()
	p := newFixture(t)
	p.Give("alice")
	p.Aliases = map[string]string{"ALICE": "alice", "BOB": "bob"}
	p.Groups = map[string][]string{"staff": {"alice", "bob"}, "robots": {"robot"}}
	for _, apply := range settings {
		apply(t, p)
	}
	got, err := p.Need(context.Background(), request)
	if err != nil || got.Code != want || got.Rule != rule {
		t.Errorf("got %+v, %v; want %v by %s", got, err, want, rule)
	}
	verdict := p.Login(context.Background(), request, says())
	decision := map[CodeNeed]Decision{Asked: Deny, NoCode: NotAsked, Refused: Deny}[want]
	if verdict.Decision != decision {
		t.Errorf("login: %v, want %v", verdict, decision)
	}
	if len(p.Log()) != 1 || p.Log()[0].Rule == "" || p.Log()[0].Verdict != decision.String() {
		t.Errorf("audit: %+v", p.Log())
	}
}

func TestDoubtDenies(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.Broken = errors.New("secret file: permission denied")
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Fault, "secret-file")
	p.Config.Policy.Exempt = []config.Selector{"backup"}
	expect(t, p.login("backup", says()), NotAsked, "policy.exempt")
	p.Broken = nil
	expect(t, p.login("nss-down", says()), Fault, "name-service")
	for _, name := range []string{"", "../alice", "a/b", "-x", "a\nb"} {
		expect(t, p.login(name, says()), Fault, "user-name")
	}
	p.Ledger = gatetest.FailingLedger{}
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Fault, "ledger")
	p.Accounts = nil // a panic
	expect(t, p.login("alice", says()), Fault, "internal")
	expect(t, Refuse(p, Request{User: "alice"}, says(), "configuration", errors.New("no config")), Fault, "configuration")
	if (Verdict{}).Decision != Deny || (Need{}).Code != Asked {
		t.Error("a zero value lets in")
	}
}
