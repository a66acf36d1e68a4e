package gate

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// field is a password as a client sent it. It gives its ends as a front does,
// and remembers how long those were that it was asked for and that it gave.
type field struct {
	text  string
	asked []int
	given []int
	fail  error
}

func (f *field) Tail(n, group int, alphabet string) (string, bool, error) {
	f.asked = append(f.asked, n)
	if f.fail != nil {
		return "", false, f.fail
	}
	if n >= len(f.text) {
		return "", false, nil
	}
	tail := f.text[len(f.text)-n:]
	for i := range n {
		dash := group > 0 && i%(group+1) == group
		if dash != (tail[i] == '-') || !dash && !strings.Contains(alphabet, tail[i:i+1]) {
			return "", false, nil
		}
	}
	f.given = append(f.given, n)
	return tail, true, nil
}

func (p *fixture) split(user, text string) (int, *field, error) {
	f := &field{text: text}
	n, err := p.Split(context.Background(), Request{User: user, Service: "vsftpd", RemoteHost: "192.0.2.1"}, f)
	return n, f, err
}

func TestSplitTakesWhatHasTheFormOfACode(t *testing.T) {
	p := newFixture(t)
	recovery := p.Give("alice")[0]
	for _, test := range []struct {
		text string
		want int
	}{
		{"secret123456", 6},
		{"secret000000", 6}, // right or wrong is for later
		{"12345123456", 6},
		{"x123456", 6},
		{"secret" + recovery, 19},
		{"secret" + strings.ToUpper(recovery), 0},
		{"secret" + recovery[:18], 0},
		{"secret-" + recovery, 19},
		{"secret" + recovery + "123456", 6},
		{"secret-aaaa-bbbb-ccccdddd", 0},
		{"secretaaaabbbbccccdddd", 0},
		{"secret", 0},
		{"secret12345", 0},
		{"secret123456 ", 0},
		{"secret１２３４５６", 0},
		{"123456", 0}, // nothing would be left
		{recovery, 0},
		{"", 0},
	} {
		n, f, err := p.split("alice", test.text)
		if n != test.want || err != nil {
			t.Errorf("%q: %d, %v, want %d", test.text, n, err, test.want)
		}
		// What is no code stays in the front.
		if test.want == 0 && len(f.given) > 0 {
			t.Errorf("%q: got the last %v bytes", test.text, f.given)
		}
	}
	if len(p.Log()) != 0 {
		t.Errorf("audited: %v", p.Log())
	}
}

func TestSplitGoesByThePersonsFactors(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	person := p.Known["alice"]
	six := person.Factors[0]
	eight, unconfirmed := six, six
	eight.Digits, unconfirmed.Digits = 8, 7
	unconfirmed.Confirmed = time.Time{}
	person.Factors = []account.Factor{six, eight, six, unconfirmed}
	p.Known["alice"] = person
	n, asked, err := p.split("alice", "secret12345678")
	if n != 8 || err != nil || !slices.Equal(asked.asked, []int{19, 8}) {
		t.Errorf("%d, %v, asked for %v", n, err, asked.asked)
	}
	n, asked, err = p.split("alice", "secret345678")
	if n != 6 || err != nil || !slices.Equal(asked.asked, []int{19, 8, 6}) {
		t.Errorf("%d, %v, asked for %v", n, err, asked.asked)
	}
	person.Recovery = account.Recovery{}
	p.Known["alice"] = person
	if n, asked, err = p.split("alice", "secret0123-4567-89ab-cdef"); n != 0 || err != nil || slices.Contains(asked.asked, 19) {
		t.Errorf("without recovery codes: %d, %v, asked for %v", n, err, asked.asked)
	}
}

// A password that ends like a code keeps working for whoever is not asked.
func TestSplitLeavesThoseAloneWhoAreNotAsked(t *testing.T) {
	var near config.Network
	if err := near.UnmarshalText([]byte("192.0.2.0/24")); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(p *fixture){
		"exempt":       func(p *fixture) { p.Config.Policy.Exempt = []config.Selector{"alice"} },
		"protocol off": func(p *fixture) { p.Config.Policy.Protocols = []config.Protocol{"ssh"} },
		"trusted":      func(p *fixture) { p.Config.Policy.TrustedNetworks = append(p.Config.Policy.TrustedNetworks, near) },
		"not enrolled": func(p *fixture) { delete(p.Known, "alice") },
		"must enroll":  func(p *fixture) { delete(p.Known, "alice"); p.Config.Policy.Require = []config.Selector{config.All} },
		"switched off": func(p *fixture) { person := p.Known["alice"]; person.Enabled = false; p.Known["alice"] = person },
		"own protocols": func(p *fixture) {
			person := p.Known["alice"]
			person.Protocols = []config.Protocol{"ssh"}
			p.Known["alice"] = person
		},
	} {
		p := newFixture(t)
		p.Give("alice")
		set(p)
		if n, f, err := p.split("alice", "secret123456"); n != 0 || err != nil || len(f.asked) != 0 || len(p.Log()) != 0 {
			t.Errorf("%s: %d, %v, asked for %v, audited %v", name, n, err, f.asked, p.Log())
		}
	}
}

func TestSplitFaultsAreAudited(t *testing.T) {
	for rule, set := range map[string]func(p *fixture){
		"secret-file": func(p *fixture) { p.Broken = errors.New("permission denied") },
		"internal":    func(p *fixture) { p.Accounts = nil },
	} {
		p := newFixture(t)
		p.Give("alice")
		set(p)
		n, _, err := p.split("alice", "secret123456")
		if n != 0 || err == nil || len(p.Log()) != 1 || p.Log()[0].Verdict != "fault" || p.Log()[0].Rule != rule {
			t.Errorf("%s: %d, %v, audited %v", rule, n, err, p.Log())
		}
	}
	p := newFixture(t)
	p.Give("alice")
	gone := &field{text: "secret123456", fail: errors.New("front is gone")}
	if n, err := p.Split(context.Background(), Request{User: "alice"}, gone); n != 0 || err == nil || len(p.Log()) != 1 || p.Log()[0].Rule != "dialogue" {
		t.Errorf("front gone: %d, %v, audited %v", n, err, p.Log())
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if n, err := p.Split(ended, Request{User: "alice"}, &field{text: "secret123456"}); n != 0 || err == nil {
		t.Errorf("too late: %d, %v", n, err)
	}
}

// A host that cannot ask gives the password again when the code behind it was
// not right. The line in the log is about the code then.
func TestHostThatCannotAskForAnotherCode(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	code := p.Code(t, "alice", 0)
	login := func(answers ...any) Verdict {
		conversation := says(answers...)
		return p.Login(context.Background(), Request{User: "alice", Service: "vsftpd", AfterSplit: true}, conversation)
	}
	again := Answer{Password: true}
	wrong := login("000000", again, again)
	expect(t, wrong, TooMany, "code")
	if !strings.HasPrefix(wrong.Reason, "codes: 1 wrong, 0 used before") {
		t.Errorf("reason: %s", wrong.Reason)
	}
	expect(t, login(code), Accept, "totp:phone")
	used := login(code, again, again)
	expect(t, used, TooMany, "code")
	if !strings.HasPrefix(used.Reason, "codes: 0 wrong, 1 used before") {
		t.Errorf("reason: %s", used.Reason)
	}
	bare := login(again, again)
	expect(t, bare, TooMany, "password-repeated")
	if !strings.HasPrefix(bare.Reason, "no code behind the password") || strings.Contains(bare.Reason, "KbdInteractive") {
		t.Errorf("reason: %s", bare.Reason)
	}
	p.Clock = p.Clock.Add(30 * time.Second)
	expect(t, login("000000", p.Code(t, "alice", 0)), Accept, "totp:phone")
}

// Where codes are sent, the bare password asks for one, however it ends; the
// next login's tail is the code.
func TestSplitOfSentCodes(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.Email)
	if n, _, err := p.split("alice", "secret123456"); n != 0 || err != nil {
		t.Errorf("before a code was sent: %d, %v", n, err)
	}
	p.carrying("alice", "", "ftp")
	if n, _, err := p.split("alice", "secret"+post.Last()); n != 6 || err != nil {
		t.Errorf("after it was sent: %d, %v", n, err)
	}
	p.Clock = p.Clock.Add(time.Hour)
	if n, _, err := p.split("alice", "secret123456"); n != 0 || err != nil {
		t.Errorf("after it expired: %d, %v", n, err)
	}
}

// In a remembered login both come: clients that go on sending the code, and
// people who leave it out and whose password may end like one.
func TestSplitOfRememberedLogins(t *testing.T) {
	p := newFixture(t)
	recovery := p.Give("alice")
	p.Config.Policy.Session.Duration = time.Hour
	opener := p.Code(t, "alice", 0)
	if verdict := p.carrying("alice", opener, "ftp"); verdict.Decision != Accept {
		t.Fatal(verdict)
	}
	p.Clock = p.Clock.Add(10 * time.Minute)
	before, err := p.Ledger.View(context.Background(), ledger.UserKey(p.Known["alice"].User))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		"secret" + opener: 6, "secret": 0, "secret" + p.Code(t, "alice", 0): 6, "secret" + recovery[0]: 19, "secret123456": 0,
		"secret" + p.Code(t, "alice", 9): 0, "secret0000-0000-0000-0000": 0,
	} {
		if n, _, err := p.split("alice", text); n != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
	after, err := p.Ledger.View(context.Background(), ledger.UserKey(p.Known["alice"].User))
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("looking changed the ledger: %+v, then %+v, %v", before, after, err)
	}
	p.Clock = p.Clock.Add(time.Hour)
	if n, _, err := p.split("alice", "secret123456"); n != 6 || err != nil {
		t.Errorf("after the session: %d, %v", n, err)
	}
}

// Whoever knows nothing but the address of a remembered login moves nothing, and
// whoever has the password too finds no code that is good elsewhere.
func TestSplitOfRememberedLoginsSpendsNothing(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Session.Duration = time.Hour
	p.Give("alice")
	expect(t, p.carrying("alice", p.Code(t, "alice", 0), "ftp"), Accept, "totp:phone")
	p.Clock = p.Clock.Add(10 * time.Minute)
	fresh := p.Code(t, "alice", 0)
	for range 3 {
		if n, _, err := p.split("alice", "guess"+fresh); n != 6 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	// The password was wrong, and the owner has the code still.
	elsewhere := func(answers ...any) Verdict {
		return p.Login(context.Background(), Request{User: "alice", Service: "sshd", RemoteHost: "192.0.2.2"}, says(answers...))
	}
	expect(t, elsewhere(fresh), Accept, "totp:phone")
	p.Clock = p.Clock.Add(2 * time.Hour)
	expect(t, p.carrying("alice", p.Code(t, "alice", 0), "ftp"), Accept, "totp:phone")
	p.Clock = p.Clock.Add(time.Minute)
	// The password was right: the line that asks comes, and spends the code.
	fresh = p.Code(t, "alice", 0)
	expect(t, p.carrying("alice", fresh, "ftp"), NotAsked, "policy.session")
	expect(t, elsewhere(fresh, errors.New("gone")), Deny, "no-answer")
	entry, err := p.Ledger.View(context.Background(), ledger.UserKey(p.Known["alice"].User))
	if err != nil || entry.Attempts.Wrong != 0 {
		t.Errorf("%+v, %v", entry.Attempts, err)
	}
	// A recovery code is not, and a wrong end cannot come that far.
	expect(t, p.carrying("alice", "000001", "ftp"), NotAsked, "policy.session")
	if after, err := p.Ledger.View(context.Background(), ledger.UserKey(p.Known["alice"].User)); err != nil || !reflect.DeepEqual(entry, after) {
		t.Errorf("%+v, then %+v, %v", entry, after, err)
	}
}

// A server that was taken over need not come to the line that asks. It may try a
// few ends, and then is told nothing of codes that nobody has given.
func TestSplitTellsPeersLittle(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Session.Duration = 24 * time.Hour
	p.Give("alice")
	opener, server := p.Code(t, "alice", 0), p.asked("uid 33")
	expect(t, server.carrying("alice", opener, "ftp"), Accept, "totp:phone")
	p.Clock = p.Clock.Add(10 * time.Minute)
	split := func(text string) int {
		t.Helper()
		server.Now = func() time.Time { return p.Clock }
		n, _, err := server.split("alice", text)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if n := split("secret" + p.Code(t, "alice", 0)); n != 0 {
		t.Errorf("without a bound: %d", n)
	}
	server.SplitBudget = NewSplitBudget()
	// What clients send again and again is one look, and a code is none.
	for range 50 {
		if split("secret654321") != 0 || split("secret"+opener) != 6 {
			t.Error("not as without a bound")
		}
		p.Clock = p.Clock.Add(time.Minute)
		if n := split("secret" + p.Code(t, "alice", 0)); n != 6 {
			t.Fatalf("a new code: %d", n)
		}
	}
	for i := range 100 {
		split(fmt.Sprintf("secret%06d", i))
	}
	if n := split("secret" + p.Code(t, "alice", 0)); n != 0 {
		t.Errorf("after a hundred tries: %d", n)
	}
	if split("secret"+opener) != 6 {
		t.Error("the code that opened the session does not count any more")
	}
	if !server.SplitBudget.Counting(p.Clock) || server.SplitBudget.Counting(p.Clock.Add(25*time.Hour)) {
		t.Error("it is forgotten too soon, or never")
	}
	p.Clock = p.Clock.Add(5 * time.Hour)
	if n := split("secret" + p.Code(t, "alice", 0)); n != 6 {
		t.Errorf("hours later: %d", n)
	}
}

// One text, sent until it is a code, would tell which one is.
func TestSplitLooksOnceAtOneText(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Session.Duration = 24 * time.Hour
	p.Give("alice")
	server := p.asked("uid 33")
	expect(t, server.carrying("alice", p.Code(t, "alice", 0), "ftp"), Accept, "totp:phone")
	server.SplitBudget = NewSplitBudget()
	later := p.Code(t, "alice", 20)
	for step := range 21 {
		server.Now = func() time.Time { return p.Clock.Add(time.Duration(step) * 30 * time.Second) }
		if n, _, err := server.split("alice", "secret"+later); n != 0 || err != nil {
			t.Fatalf("told in step %d of 20: %d, %v", step, n, err)
		}
	}
}

// Nor need it have found the password right when it comes to that line. However
// many codes it brings to a login that is remembered, it uses up none that it
// found by trying.
func TestRememberedLoginsOfPeersSpendLittle(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Session.Duration = 24 * time.Hour
	p.GiveToken("alice", 0)
	server := p.asked("uid 33")
	expect(t, server.carrying("alice", p.Press(t, "alice", 0), "ftp"), Accept, "hotp:token")
	server.SplitBudget = NewSplitBudget()
	// As long as it brings what its people typed, it is as with root's servers.
	expect(t, server.carrying("alice", p.Press(t, "alice", 1), "ftp"), NotAsked, "policy.session")
	expect(t, p.login("alice", says(p.Press(t, "alice", 1))), Deny, "no-answer")
	for i := range p.Config.Policy.Attempts.PerWindow {
		expect(t, server.carrying("alice", fmt.Sprintf("%06d", i), "ftp"), NotAsked, "policy.session")
	}
	expect(t, server.carrying("alice", p.Press(t, "alice", 15), "ftp"), NotAsked, "policy.session")
	expect(t, p.login("alice", says(p.Press(t, "alice", 2))), Accept, "hotp:token")
}
