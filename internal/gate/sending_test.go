package gate

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/ledger"
)

// postman is a sender that keeps what it was given.
type postman struct {
	mu       sync.Mutex
	messages []deliver.Message
	fails    error
	// fallback says why it takes the other channel.
	fallback string
}

func (p *postman) Send(_ context.Context, m deliver.Message) (deliver.Delivery, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails != nil {
		return deliver.Delivery{}, p.fails
	}
	p.messages = append(p.messages, m)
	if p.fallback != "" {
		return deliver.Delivery{Channel: deliver.Email, To: "a…e@example.com", Failed: p.fallback}, nil
	}
	return deliver.Delivery{Channel: m.Channel, To: "somewhere"}, nil
}

func (p *postman) last() string { return p.messages[len(p.messages)-1].Code }

// lastCode answers with the newest code that was sent by then.
type lastCode struct{ *postman }

// sentTo gives name a factor of each kind, in that order, and a postman.
func (p *place) sendTo(name string, kinds ...account.Kind) *postman {
	post := &postman{}
	p.Sender = post
	p.enroll(name)
	person := p.people[name]
	totp := person.Factors[0]
	person.Email, person.Phone, person.Factors = name+"@example.com", "+491511234567", nil
	for _, kind := range kinds {
		f := account.Factor{ID: "my-" + string(kind), Kind: kind, Confirmed: confirmed}
		if kind == account.TOTP {
			f = totp
		}
		person.Factors = append(person.Factors, f)
	}
	p.people[name] = person
	return post
}

func (p *place) lines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var text strings.Builder
	for _, r := range p.log {
		text.WriteString(r.Line() + "\n")
	}
	return text.String()
}

// A login has a code of its own, which is good once, there and then.
func TestSentCode(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.Email)
	expect(t, p.login("alice", says(lastCode{post})), Accept, "email:my-email")
	first := post.last()
	expect(t, p.login("alice", says(first, first, first)), TooMany, "policy.attempts.per_login")
	expect(t, p.login("alice", says("000000", lastCode{post})), Accept, "email:my-email")
	if len(post.messages) != 3 || post.messages[0].Code == post.messages[1].Code {
		t.Errorf("%d codes were sent", len(post.messages))
	}
	if m := post.messages[0]; m.Email != "alice@example.com" || m.Channel != deliver.Email || m.User != "alice" || m.Service != "sshd" ||
		m.Remote != "192.0.2.1" || m.Host == "" || !m.Expires.Equal(p.now.Add(10*time.Minute)) {
		t.Errorf("%+v", m)
	}
	for _, m := range post.messages {
		if strings.Contains(p.lines(), m.Code) {
			t.Errorf("the log holds the code %s:\n%s", m.Code, p.lines())
		}
	}
	if !strings.Contains(p.lines(), "verdict=sent rule=email:my-email") {
		t.Errorf("the log says nothing of sending:\n%s", p.lines())
	}
}

// Two logins at once: each is only let in with its own code.
func TestSentCodeIsOfOneLogin(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.Email)
	inner := ""
	outer := &script{answers: []any{func() any {
		expect(t, p.login("alice", says(func() any { return post.messages[0].Code }, "111111", "222222")), TooMany, "policy.attempts.per_login")
		inner = post.messages[1].Code
		return inner
	}, func() any { return post.messages[0].Code }}}
	expect(t, p.login("alice", outer), Accept, "email:my-email")
}

// A mail server that takes minutes locks nobody out: a code that comes when its
// login is over is good for no other, and is no guess.
func TestLateCodeIsNoGuess(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.Email)
	entry := func(name string) ledger.Entry {
		entry, err := p.Ledger.View(context.Background(), ledger.UserKey(p.people[name].User))
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
		p.now = p.now.Add(11 * time.Minute)
		late := says(post.last())
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
	old := post.last()
	p.login("alice", says("000000"))
	p.enroll("bob")
	p.login("bob", says(old))
	if alice, bob := entry("alice").Attempts.Wrong, entry("bob").Attempts.Wrong; alice != 1 || bob != 1 {
		t.Errorf("%d and %d wrong codes after a guess each", alice, bob)
	}
	p.now = p.now.Add(61 * time.Minute)
	p.login("alice", says(old))
	if wrong := entry("alice").Attempts.Wrong; wrong != 2 {
		t.Errorf("%d wrong codes after a code of long ago", wrong)
	}
	text, _ := json.Marshal(entry("alice"))
	for _, m := range post.messages {
		if strings.Contains(string(text), `"`+m.Code+`"`) || strings.Contains(p.lines(), m.Code) {
			t.Errorf("code %s is in the ledger or the log", m.Code)
		}
	}
}

func TestSentCodeExpires(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.Email)
	late := says(func() any { p.now = p.now.Add(10 * time.Minute); return post.last() })
	expect(t, p.login("alice", late), Deny, "no-answer")
	if told := late.told[len(late.told)-1]; told != expiredCode {
		t.Errorf("told %q", told)
	}
	if entry, err := p.Ledger.View(context.Background(), ledger.UserKey(p.people["alice"].User)); err != nil || entry.Attempts.Wrong != 0 {
		t.Errorf("%d wrong codes, %v", entry.Attempts.Wrong, err)
	}
	expect(t, p.login("alice", says(func() any { p.now = p.now.Add(10*time.Minute - 1); return post.last() })), Accept, "email:my-email")
}

// The words at the prompt send by what the person's file names, and nothing
// else.
func TestWordsAtThePrompt(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.TOTP, account.SMS)
	expect(t, p.login("alice", says(p.code(t, "alice", 0))), Accept, "totp:phone")
	if len(post.messages) != 0 {
		t.Error("a code was sent that nobody asked for")
	}
	talk := says("sms", lastCode{post})
	expect(t, p.login("alice", talk), Accept, "sms:my-sms")
	if post.messages[0].Channel != deliver.SMS || !strings.Contains(talk.told[0], "type sms") {
		t.Errorf("%+v, told %q", post.messages[0], talk.told)
	}
	expect(t, p.login("alice", says("email", "email", "email")), TooMany, "policy.attempts.per_login")
	expect(t, p.login("alice", says("smss", "sms ", "sms\n")), TooMany, "policy.attempts.per_login")
	if len(post.messages) != 1 {
		t.Errorf("%d codes were sent", len(post.messages))
	}
	// While one is on its way the app's code is good as well, and an older one.
	expect(t, p.login("alice", says("sms", "sms", func() any { return post.messages[1].Code })), Accept, "sms:my-sms")
	p.now = p.now.Add(time.Minute)
	expect(t, p.login("alice", says("sms", p.code(t, "alice", 0))), Accept, "totp:phone")
}

func TestSendingIsLimited(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.TOTP, account.SMS)
	p.Config.Sent.Resend = 1
	expect(t, p.login("alice", says("sms", "sms", "sms", "sms", "sms")), TooMany, "policy.attempts.per_login")
	if len(post.messages) != 2 {
		t.Errorf("%d codes were sent in one login, expected 2", len(post.messages))
	}
	p.Config.Sent.PerHour = 6
	for range 10 {
		p.login("alice", says("sms", "sms"))
	}
	if len(post.messages) != 6 {
		t.Errorf("%d codes were sent in no time, expected 6", len(post.messages))
	}
	if !strings.Contains(p.lines(), "verdict=not-sent rule=sent.per_hour") {
		t.Errorf("the log does not say why none was sent:\n%s", p.lines())
	}
	p.now = p.now.Add(10 * time.Minute)
	p.login("alice", says("sms", "sms"))
	if len(post.messages) != 7 {
		t.Errorf("%d codes were sent, expected one more after a sixth of an hour", len(post.messages))
	}
	// Who has nothing else is denied, by that rule.
	post = p.sendTo("bob", account.Email)
	person := p.people["bob"]
	person.Recovery = account.Recovery{}
	p.people["bob"] = person
	for range 6 {
		p.login("bob", says())
	}
	expect(t, p.login("bob", says()), TooMany, "sent.per_hour")
	if len(post.messages) != 6 {
		t.Errorf("%d codes were sent to bob", len(post.messages))
	}
}

func TestSendingFails(t *testing.T) {
	p := newPlace(t)
	p.sendTo("alice", account.Email).fails = errors.New("connection refused")
	person := p.people["alice"]
	recovery := person.Recovery
	person.Recovery = account.Recovery{}
	p.people["alice"] = person
	talk := says("000000")
	expect(t, p.login("alice", talk), Fault, "email:my-email")
	if talk.asked != 0 || !strings.Contains(p.lines(), "connection refused") {
		t.Errorf("asked %d times; %s", talk.asked, p.lines())
	}
	p.Sender = nil
	expect(t, p.login("alice", says("000000")), Fault, "email:my-email")
	// A recovery code is still good.
	person.Recovery = recovery
	p.people["alice"] = person
	codes := p.enroll("bob")
	bob := p.people["bob"]
	bob.Email, bob.Factors = "bob@example.com", []account.Factor{{ID: "mail", Kind: account.Email, Confirmed: confirmed}}
	p.people["bob"] = bob
	expect(t, p.login("bob", says(codes[0])), Accept, "recovery")
	if !strings.Contains(p.lines(), "verdict=not-sent rule=email:mail") {
		t.Errorf("%s", p.lines())
	}
}

func TestFallbackIsInTheLog(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.SMS)
	post.fallback = "sms: gateway answered 500"
	got := p.login("alice", says(lastCode{post}))
	expect(t, got, Accept, "sms:my-sms")
	if want := "sent by email to a…e@example.com, after sms: gateway answered 500"; got.Reason != want {
		t.Errorf("reason %q, expected %q", got.Reason, want)
	}
}

// carrying is a login by a host that cannot ask.
func (p *place) carrying(user, code string, protocol config.Protocol) Verdict {
	request := Request{User: user, Service: "vsftpd", Protocol: protocol, RemoteHost: "192.0.2.1", AfterSplit: true, CodeBehind: code != ""}
	talk := says(Answer{Password: true}, Answer{Password: true})
	if code != "" {
		talk = says(code, Answer{Password: true}, Answer{Password: true})
	}
	return p.Login(context.Background(), request, talk)
}

// The bare password sends a code, the next login carries it, once.
func TestCarriedCode(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.Email)
	expect(t, p.carrying("alice", "000000", "ftp"), TooMany, "code")
	if len(post.messages) != 0 {
		t.Error("a wrong code sent another")
	}
	expect(t, p.carrying("alice", "", "ftp"), TooMany, "email:my-email")
	code := post.last()
	expect(t, p.carrying("alice", code, "sudo"), TooMany, "code")
	expect(t, p.login("alice", says(code)), Deny, "no-answer")
	expect(t, p.carrying("alice", code, "ftp"), Accept, "email:my-email")
	expect(t, p.carrying("alice", code, "ftp"), TooMany, "code")
	// It is gone with its time, and with the factor.
	expect(t, p.carrying("alice", "", "ftp"), TooMany, "email:my-email")
	p.now = p.now.Add(11 * time.Minute)
	expect(t, p.carrying("alice", post.last(), "ftp"), TooMany, "code")
	expect(t, p.carrying("alice", "", "ftp"), TooMany, "email:my-email")
	person := p.people["alice"]
	person.Factors[0] = account.Factor{ID: "app", Kind: account.TOTP, Secret: []byte("12345678901234567890"), Digits: 6, Period: 30, Algorithm: "SHA1", Confirmed: confirmed}
	expect(t, p.carrying("alice", post.last(), "ftp"), TooMany, "code")
	entry, _ := p.Ledger.View(context.Background(), ledger.UserKey(person.User))
	for _, m := range post.messages {
		if text, _ := json.Marshal(entry); strings.Contains(string(text), `"`+m.Code+`"`) || strings.Contains(p.lines(), m.Code) {
			t.Errorf("code %s is in the ledger or the log", m.Code)
		}
	}
}

// Without a stack that takes codes off, none waits for a later login.
func TestNothingIsCarriedWithoutSplit(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.Email)
	expect(t, p.login("alice", says(Answer{Password: true}, Answer{Password: true})), TooMany, "password-repeated")
	expect(t, p.carrying("alice", post.last(), "ssh"), TooMany, "code")
}
