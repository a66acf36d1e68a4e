package gate

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// lastCode answers with the newest code that was sent by then.
type lastCode struct{ *gatetest.Sender }

// sendTo gives name a factor of each kind, in that order, and has codes sent.
func (p *fixture) sendTo(name string, kinds ...account.Kind) *gatetest.Sender {
	sender := &gatetest.Sender{}
	p.Sender = sender
	p.GiveSent(name, kinds...)
	return sender
}

// A login has a code of its own, which is good once, there and then.
func TestSentCode(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.Email)
	expect(t, p.login("alice", says(lastCode{post})), Accept, "email:my-email")
	first := post.Last()
	expect(t, p.login("alice", says(first, first, first)), TooMany, "policy.attempts.per_login")
	expect(t, p.login("alice", says(func() any { return post.NeverSent() }, lastCode{post})), Accept, "email:my-email")
	if len(post.Messages) != 3 || post.Messages[0].Code == post.Messages[1].Code {
		t.Errorf("%d codes were sent", len(post.Messages))
	}
	if m := post.Messages[0]; m.Email != "alice@example.com" || m.Channel != deliver.Email || m.User != "alice" || m.Service != "sshd" ||
		m.Remote != "192.0.2.1" || m.Host == "" || !m.Expires.Equal(p.Clock.Add(10*time.Minute)) {
		t.Errorf("%+v", m)
	}
	for _, m := range post.Messages {
		if strings.Contains(p.Lines(), m.Code) {
			t.Errorf("the log holds the code %s:\n%s", m.Code, p.Lines())
		}
	}
	if !strings.Contains(p.Lines(), "verdict=sent rule=email:my-email") {
		t.Errorf("the log says nothing of sending:\n%s", p.Lines())
	}
}

// Two logins at once: each is only let in with its own code.
func TestSentCodeIsOfOneLogin(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.Email)
	inner := ""
	outer := &script{answers: []any{func() any {
		expect(t, p.login("alice", says(func() any { return post.Messages[0].Code }, "111111", "222222")), TooMany, "policy.attempts.per_login")
		inner = post.Messages[1].Code
		return inner
	}, func() any { return post.Messages[0].Code }}}
	expect(t, p.login("alice", outer), Accept, "email:my-email")
}

// A mail server that takes minutes locks nobody out: a code that comes when its
// login is over is good for no other, and is no guess.
func TestLateCodeIsNoGuess(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.Email)
	entry := func(name string) ledger.Entry {
		entry, err := p.Ledger.View(context.Background(), ledger.UserKey(p.Known[name].User))
		if err != nil {
			t.Fatal(err)
		}
		return entry
	}
	first := says()
	p.login("alice", first)
	if !strings.Contains(first.told[0], "good for this login alone, until") {
		t.Errorf("told %q", first.told)
	}
	for i := range 5 {
		p.Clock = p.Clock.Add(11 * time.Minute)
		late := says(post.Last())
		verdict := p.login("alice", late)
		expect(t, verdict, Deny, "no-answer")
		if told := late.told[len(late.told)-1]; told != earlierCode || !strings.Contains(verdict.Reason, "1 used before") {
			t.Errorf("told %q, reason %q", told, verdict.Reason)
		}
		if wrong := entry("alice").Attempts.Wrong; wrong != 0 {
			t.Fatalf("%d wrong codes after late code number %d", wrong, i)
		}
	}
	// A guess is one as before, so is another person's code, and one of long ago.
	old := post.Last()
	p.login("alice", says(func() any { return post.NeverSent() }))
	p.Give("bob")
	p.login("bob", says(old))
	if alice, bob := entry("alice").Attempts.Wrong, entry("bob").Attempts.Wrong; alice != 1 || bob != 1 {
		t.Errorf("%d and %d wrong codes after a guess each", alice, bob)
	}
	p.Clock = p.Clock.Add(61 * time.Minute)
	p.login("alice", says(old))
	if wrong := entry("alice").Attempts.Wrong; wrong != 2 {
		t.Errorf("%d wrong codes after a code of long ago", wrong)
	}
	text, _ := json.Marshal(entry("alice"))
	for _, m := range post.Messages {
		if strings.Contains(string(text), `"`+m.Code+`"`) || strings.Contains(p.Lines(), m.Code) {
			t.Errorf("code %s is in the ledger or the log", m.Code)
		}
	}
}

func TestSentCodeExpires(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.Email)
	late := says(func() any { p.Clock = p.Clock.Add(10 * time.Minute); return post.Last() })
	expect(t, p.login("alice", late), Deny, "no-answer")
	if told := late.told[len(late.told)-1]; told != expiredCode {
		t.Errorf("told %q", told)
	}
	if entry, err := p.Ledger.View(context.Background(), ledger.UserKey(p.Known["alice"].User)); err != nil || entry.Attempts.Wrong != 0 {
		t.Errorf("%d wrong codes, %v", entry.Attempts.Wrong, err)
	}
	expect(t, p.login("alice", says(func() any { p.Clock = p.Clock.Add(10*time.Minute - 1); return post.Last() })), Accept, "email:my-email")
}

// The words at the prompt send by what the person's file names, and nothing
// else.
func TestWordsAtThePrompt(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.TOTP, account.SMS)
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	if len(post.Messages) != 0 {
		t.Error("a code was sent that nobody asked for")
	}
	conversation := says("sms", lastCode{post})
	expect(t, p.login("alice", conversation), Accept, "sms:my-sms")
	if post.Messages[0].Channel != deliver.SMS || !strings.Contains(conversation.told[0], "type sms") {
		t.Errorf("%+v, told %q", post.Messages[0], conversation.told)
	}
	expect(t, p.login("alice", says("email", "email", "email")), TooMany, "policy.attempts.per_login")
	expect(t, p.login("alice", says("smss", "sms ", "sms\n")), TooMany, "policy.attempts.per_login")
	if len(post.Messages) != 1 {
		t.Errorf("%d codes were sent", len(post.Messages))
	}
	// While one is on its way the app's code is good as well, and an older one.
	expect(t, p.login("alice", says("sms", "sms", func() any { return post.Messages[1].Code })), Accept, "sms:my-sms")
	p.Clock = p.Clock.Add(time.Minute)
	expect(t, p.login("alice", says("sms", p.Code(t, "alice", 0))), Accept, "totp:phone")
}

func TestSendingIsLimited(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.TOTP, account.SMS)
	p.Config.Sent.Resend = 1
	expect(t, p.login("alice", says("sms", "sms", "sms", "sms", "sms")), TooMany, "policy.attempts.per_login")
	if len(post.Messages) != 2 {
		t.Errorf("%d codes were sent in one login, expected 2", len(post.Messages))
	}
	p.Config.Sent.PerHour = 6
	for range 10 {
		p.login("alice", says("sms", "sms"))
	}
	if len(post.Messages) != 6 {
		t.Errorf("%d codes were sent in no time, expected 6", len(post.Messages))
	}
	if !strings.Contains(p.Lines(), "verdict=not-sent rule=sent.per_hour") {
		t.Errorf("the log does not say why none was sent:\n%s", p.Lines())
	}
	p.Clock = p.Clock.Add(10 * time.Minute)
	p.login("alice", says("sms", "sms"))
	if len(post.Messages) != 7 {
		t.Errorf("%d codes were sent, expected one more after a sixth of an hour", len(post.Messages))
	}
	// Who has nothing else is denied, by that rule.
	post = p.sendTo("bob", account.Email)
	person := p.Known["bob"]
	person.Recovery = account.Recovery{}
	p.Known["bob"] = person
	for range 6 {
		p.login("bob", says())
	}
	expect(t, p.login("bob", says()), TooMany, "sent.per_hour")
	if len(post.Messages) != 6 {
		t.Errorf("%d codes were sent to bob", len(post.Messages))
	}
}

func TestSendingFails(t *testing.T) {
	p := newFixture(t)
	p.sendTo("alice", account.Email).Fails = errors.New("connection refused")
	person := p.Known["alice"]
	recovery := person.Recovery
	person.Recovery = account.Recovery{}
	p.Known["alice"] = person
	conversation := says("000000")
	expect(t, p.login("alice", conversation), Fault, "email:my-email")
	if conversation.asked != 0 || !strings.Contains(p.Lines(), "connection refused") {
		t.Errorf("asked %d times; %s", conversation.asked, p.Lines())
	}
	p.Sender = nil
	expect(t, p.login("alice", says("000000")), Fault, "email:my-email")
	// A recovery code is still good.
	person.Recovery = recovery
	p.Known["alice"] = person
	codes := p.Give("bob")
	bob := p.Known["bob"]
	bob.Email, bob.Factors = "bob@example.com", []account.Factor{{ID: "mail", Kind: account.Email, Confirmed: gatetest.Confirmed}}
	p.Known["bob"] = bob
	expect(t, p.login("bob", says(codes[0])), Accept, "recovery")
	if !strings.Contains(p.Lines(), "verdict=not-sent rule=email:mail") {
		t.Errorf("%s", p.Lines())
	}
}

func TestFallbackIsInTheLog(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.SMS)
	post.Fallback = "sms: gateway answered 500"
	got := p.login("alice", says(lastCode{post}))
	expect(t, got, Accept, "sms:my-sms")
	if want := "sent by email to a…e@example.com, after sms: gateway answered 500"; got.Reason != want {
		t.Errorf("reason %q, expected %q", got.Reason, want)
	}
}

// carrying is a login by a host that cannot ask.
func (p *fixture) carrying(user, code string, protocol config.Protocol) Verdict {
	request := Request{User: user, Service: "vsftpd", Protocol: protocol, RemoteHost: "192.0.2.1", AfterSplit: true, CodeBehind: code != ""}
	conversation := says(Answer{Password: true}, Answer{Password: true})
	if code != "" {
		conversation = says(code, Answer{Password: true}, Answer{Password: true})
	}
	return p.Login(context.Background(), request, conversation)
}

// The bare password sends a code, the next login carries it, once.
func TestCarriedCode(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.Email)
	expect(t, p.carrying("alice", "000000", "ftp"), TooMany, "code")
	if len(post.Messages) != 0 {
		t.Error("a wrong code sent another")
	}
	expect(t, p.carrying("alice", "", "ftp"), TooMany, "email:my-email")
	code := post.Last()
	expect(t, p.carrying("alice", code, "sudo"), TooMany, "code")
	expect(t, p.login("alice", says(code)), Deny, "no-answer")
	expect(t, p.carrying("alice", code, "ftp"), Accept, "email:my-email")
	expect(t, p.carrying("alice", code, "ftp"), TooMany, "code")
	// It is gone with its time, and with the factor.
	expect(t, p.carrying("alice", "", "ftp"), TooMany, "email:my-email")
	p.Clock = p.Clock.Add(11 * time.Minute)
	expect(t, p.carrying("alice", post.Last(), "ftp"), TooMany, "code")
	expect(t, p.carrying("alice", "", "ftp"), TooMany, "email:my-email")
	person := p.Known["alice"]
	person.Factors[0] = account.Factor{ID: "app", Kind: account.TOTP, Secret: []byte("12345678901234567890"), Digits: 6, Period: 30, Algorithm: "SHA1", Confirmed: gatetest.Confirmed}
	expect(t, p.carrying("alice", post.Last(), "ftp"), TooMany, "code")
	entry, _ := p.Ledger.View(context.Background(), ledger.UserKey(person.User))
	for _, m := range post.Messages {
		if text, _ := json.Marshal(entry); strings.Contains(string(text), `"`+m.Code+`"`) || strings.Contains(p.Lines(), m.Code) {
			t.Errorf("code %s is in the ledger or the log", m.Code)
		}
	}
}

// Without a stack that takes codes off, none waits for a later login.
func TestNothingIsCarriedWithoutSplit(t *testing.T) {
	p := newFixture(t)
	post := p.sendTo("alice", account.Email)
	expect(t, p.login("alice", says(Answer{Password: true}, Answer{Password: true})), TooMany, "password-repeated")
	expect(t, p.carrying("alice", post.Last(), "ssh"), TooMany, "code")
}
