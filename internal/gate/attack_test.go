package gate

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
)

// Somebody with the password, at an address where the owner's login is
// remembered, may try ends of the password as long as he likes, since nothing is
// counted there. What he finds must be good nowhere else.
func TestRememberedLoginsAreNoOracle(t *testing.T) {
	for name, find := range map[string]func(t *testing.T, p *place) string{
		"app": func(t *testing.T, p *place) string { return p.code(t, "alice", 0) },
		"token": func(t *testing.T, p *place) string {
			return p.nextOfToken(t, "alice", 20) // far ahead, and good until it is given
		},
		"sent": func(t *testing.T, p *place) string {
			request := Request{User: "alice", Service: "vsftpd", Protocol: "ftp", RemoteHost: "198.51.100.7", AfterSplit: true}
			p.Login(context.Background(), request, says(Answer{Password: true}))
			return p.Sender.(*postman).last()
		},
	} {
		p := newPlace(t)
		p.sendTo("alice", account.TOTP, account.Email)
		opener := p.code(t, "alice", 0)
		switch name {
		case "token":
			p.makeToken("alice")
			opener = p.nextOfToken(t, "alice", 0)
		case "sent":
			slices.Reverse(p.people["alice"].Factors)
		}
		p.Config.Policy.Sessions = map[string]config.Duration{"ftp": {Duration: time.Hour}}
		if verdict := p.carrying("alice", opener, "ftp"); verdict.Decision != Accept {
			t.Fatal(name, verdict)
		}
		p.now = p.now.Add(10 * time.Minute)
		right := find(t, p)
		for _, guess := range []string{"000000", "000001", right} {
			if n, _, err := p.split("alice", "secret"+guess); err != nil || (n == 6) != (guess == right) {
				t.Errorf("%s: %q: %d, %v", name, guess, n, err)
			}
		}
		// Whoever logs in carries it on, whatever the password was before.
		if n, _, err := p.split("alice", "secret"+right); name != "sent" && (n != 6 || err != nil) {
			t.Errorf("%s: again: %d, %v", name, n, err)
		}
		for _, elsewhere := range []Request{
			{User: "alice", Service: "sshd", RemoteHost: "203.0.113.9"},
			{User: "alice", Service: "vsftpd", Protocol: "ftp", RemoteHost: "203.0.113.9", AfterSplit: true, CodeBehind: true},
		} {
			if verdict := p.Login(context.Background(), elsewhere, says(right)); verdict.Decision == Accept {
				t.Errorf("%s: the code that was found lets in elsewhere: %v", name, verdict)
			}
		}
	}
}

// makeToken gives name a token with a counter in the place of the app.
func (p *place) makeToken(name string) {
	person := p.people[name]
	for i := range person.Factors {
		if f := &person.Factors[i]; f.Kind == account.TOTP {
			f.Kind, f.Period = account.HOTP, 0
		}
	}
	p.people[name] = person
}

// nextOfToken is the code that name's token shows at a counter.
func (p *place) nextOfToken(t *testing.T, name string, counter uint64) string {
	t.Helper()
	code, err := hotp.GenerateCode(p.people[name].Factors[0].Secret.Base32(), counter)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// A proxy or tunnel on the machine makes everybody come from there.
func TestTheMachineItselfIsNotRemembered(t *testing.T) {
	p := sessions(t)
	for i, remote := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		expect(t, p.from(remote, "ssh", says(p.code(t, "alice", i-1))), Accept, "totp:phone")
		expect(t, p.from(remote, "ssh", says()), Deny, "no-answer")
	}
}

// fe80::1 of one link is not that of another.
func TestSessionIsOfOneLink(t *testing.T) {
	p := sessions(t)
	expect(t, p.from("fe80::1%eth0", "ssh", says(p.code(t, "alice", 0))), Accept, "totp:phone")
	expect(t, p.from("fe80::1%eth0", "ssh", says()), NotAsked, "policy.session")
	expect(t, p.from("fe80::1%wlan0", "ssh", says()), Deny, "no-answer")
}

// A code that went to a phone is worth nothing once codes go to another one.
func TestSentCodeEndsWithTheAddress(t *testing.T) {
	moved := func(p *place) {
		person := p.people["alice"]
		person.Phone = "+491519999999"
		p.people["alice"] = person
	}
	p := newPlace(t)
	post := p.sendTo("alice", account.SMS)
	talk := says(func() any { moved(p); return post.last() })
	if verdict := p.login("alice", talk); verdict.Decision == Accept {
		t.Errorf("in the same login: %v", verdict)
	}
	p = newPlace(t)
	post = p.sendTo("alice", account.SMS)
	p.carrying("alice", "", "ftp")
	moved(p)
	if verdict := p.carrying("alice", post.last(), "ftp"); verdict.Decision == Accept {
		t.Errorf("carried: %v", verdict)
	}
}

// A gateway that takes messages and says that it has not makes no login send
// more than it may.
func TestResendsThatFailCount(t *testing.T) {
	p := newPlace(t)
	post := p.sendTo("alice", account.Email)
	p.Config.Sent.PerHour = 100
	asked := 0
	talk := &script{}
	for range 40 {
		talk.answers = append(talk.answers, func() any { asked++; post.fails = fmt.Errorf("HTTP status 500"); return "email" })
	}
	verdict := p.login("alice", talk)
	entry, err := p.Ledger.View(context.Background(), userKey(p.people["alice"]))
	if err != nil || entry.Sends.Count > 1+p.Config.Sent.Resend+p.Config.Policy.Attempts.PerLogin {
		t.Errorf("%d codes went out in one login that asked %d times: %v, %v", entry.Sends.Count, asked, verdict, err)
	}
}

// A clock that was far ahead when grace began gives nobody decades of it.
func TestGraceByAClockThatWasAhead(t *testing.T) {
	p := required(t, config.Grace{For: 14 * 24 * time.Hour})
	right := p.now
	p.now = right.AddDate(30, 0, 0)
	expect(t, p.login("bob", says()), NotAsked, "policy.grace")
	p.now = right
	expect(t, p.login("bob", says()), NotAsked, "policy.grace")
	p.now = right.AddDate(0, 0, 15)
	expect(t, p.login("bob", says()), Deny, "policy.unenrolled")
}

// A login that was under way when its person was disabled may remember itself
// just behind that.
func TestEnablingBringsNoSessionBack(t *testing.T) {
	p := enrolling(t)
	p.Config.Policy.Session = config.Duration{Duration: time.Hour}
	talk := &script{}
	talk.answers = []any{"", func() any { return p.shown(t, talk) }, ""}
	expect(t, p.login("bob", talk), Accept, "totp:phone")
	person, err := p.Accounts.Load("bob")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Enable(context.Background(), "bob", false); err != nil {
		t.Fatal(err)
	}
	p.now = p.now.Add(time.Minute)
	late := dialogue{Gate: p.Gate, request: Request{User: "bob", Service: "sshd", RemoteHost: "192.0.2.1"}, person: person}
	if spent, err := late.spend(context.Background(), p.shown(t, talk)); err != nil || spent.outcome != factor.Right {
		t.Fatalf("%+v, %v", spent, err)
	}
	if _, _, err := p.Enable(context.Background(), "bob", true); err != nil {
		t.Fatal(err)
	}
	expect(t, p.login("bob", says()), Deny, "no-answer")
}

// An address that waits for its first code may be a slip: no code of another
// kind goes there when that one fails.
func TestNoFallbackToAnAddressThatWaits(t *testing.T) {
	p := enrolling(t)
	post := &postman{}
	p.Sender = post
	if _, _, err := p.EnrollTrusted(context.Background(), "bob", account.Factor{ID: "sms", Kind: account.SMS}, "+491511234567", false); err != nil {
		t.Fatal(err)
	}
	if _, err := p.EnrollSent("bob", account.Factor{ID: "mail", Kind: account.Email}, "slip@example.net", false); err != nil {
		t.Fatal(err)
	}
	p.login("bob", says())
	if got := post.messages[0].Email; got != "" {
		t.Errorf("a code may go to %s, which nobody has confirmed", got)
	}
}
