package invitation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
)

// post is a mail server, and what it does when it is given a message.
type post struct {
	gatetest.Sender
	tries int
	do    func(ctx context.Context)
	mu    sync.Mutex
}

func (p *post) Send(ctx context.Context, m deliver.Message) (deliver.Delivery, error) {
	p.mu.Lock()
	p.tries++
	do := p.do
	p.mu.Unlock()
	if do != nil {
		do(ctx)
	}
	return p.Sender.Send(ctx, m)
}

// link is the secret of the link that was mailed last.
func (p *post) link(t *testing.T) string {
	t.Helper()
	if len(p.Messages) == 0 {
		t.Fatal("nothing was mailed")
	}
	secret, ok := strings.CutPrefix(p.Messages[len(p.Messages)-1].Link, "https://otp.example.com/l/")
	if !ok {
		t.Fatal("what was mailed is no link of the page")
	}
	return secret
}

// inviting is a site where people who have not enrolled are mailed a link at the login. It
// is in memory: a login in grace waits for seconds, which a busy disk may take.
func inviting(t *testing.T) (*site, *post) {
	t.Helper()
	s, p := newSiteInMemory(t), &post{}
	settings := &s.People.Config
	settings.Portal = &config.Portal{URL: "https://otp.example.com", Link: config.Duration{Duration: 3 * day}}
	settings.Policy.Require, settings.Policy.Unenrolled = []config.Selector{config.All}, config.Invite
	s.People.Sender, s.People.Invite = p, AtLogin
	s.change(t, func(person *account.Person) { person.Email = "alice@example.com" })
	return s, p
}

// conversation is one with somebody who is asked nothing.
type conversation struct{ told string }

func (conversation) Ask(string) (gate.Answer, error) {
	return gate.Answer{}, errors.New("nobody is there")
}
func (c *conversation) Tell(_ gate.Tone, text string) { c.told += text + "\n" }
func (s *site) request(user string) gate.Request {
	return gate.Request{User: user, Service: "sshd", RemoteHost: "198.51.100.7"}
}

// tries to log in, and gives what alice was told.
func (s *site) tries(t *testing.T, decision gate.Decision, rule string) (told string) {
	t.Helper()
	c := &conversation{}
	if got := s.People.Login(t.Context(), s.request("alice"), c); got.Decision != decision || got.Rule != rule {
		t.Fatalf("%v by %s: %s", got.Decision, got.Rule, got.Reason)
	}
	return c.told
}

func (s *site) invited(t *testing.T) string {
	t.Helper()
	return s.tries(t, gate.TooMany, "policy.unenrolled")
}

func TestInvitedAtLogin(t *testing.T) {
	s, p := inviting(t)
	told := s.invited(t)
	if len(p.Messages) != 1 {
		t.Fatalf("%d mails", len(p.Messages))
	}
	if m := p.Messages[0]; m.Email != "alice@example.com" || m.User != "alice" || m.Host == "" || m.Channel != deliver.Email || m.Code != "" || !m.Expires.Equal(s.Clock.Add(3*day)) {
		t.Errorf("%+v", m)
	}
	for _, want := range []string{"you have not enrolled yet", "A link to set it up was mailed to somewhere, good until " + gate.Clock(s.Clock.Add(3*day)), "then log in again"} {
		if !strings.Contains(told, want) {
			t.Errorf("told %q, expected %q", told, want)
		}
	}
	link := p.link(t)
	setup := s.begin(t, link)
	s.confirm(t, s.answer(t, setup))
	if !s.logsIn(s.code(t, setup, 1)) || len(p.Messages) != 1 {
		t.Error("who has enrolled does not get in, or is mailed another link")
	}
	kept := s.Lines() + everything(t, s.state)
	if strings.Contains(kept, link) || strings.Contains(told, link) {
		t.Error("the log, the ledger or the login has the link")
	}
	for _, want := range []string{
		"user=alice verdict=invited rule=totp:phone by=link",
		`verdict=denied rule=policy.unenrolled reason="invite: enrollment not confirmed, required by @all; a link was mailed to somewhere"`,
	} {
		if !strings.Contains(s.Lines(), want) {
			t.Errorf("no %s in\n%s", want, s.Lines())
		}
	}
}

// Whoever has the password fills nobody's mailbox, and ends no link that has just come.
func TestOneLinkInAnHour(t *testing.T) {
	s, p := inviting(t)
	s.invited(t)
	first := p.link(t)
	for range 119 {
		s.Clock = s.Clock.Add(30 * time.Second)
		if told := s.invited(t); !strings.Contains(told, "was mailed to a…e@example.com at ") || !strings.Contains(told, "another one can be mailed after ") {
			t.Fatalf("told %q", told)
		}
	}
	if len(p.Messages) != 1 {
		t.Fatalf("%d mails within an hour", len(p.Messages))
	}
	s.looks(t, first, Ready)
	s.Clock = s.Clock.Add(30 * time.Second)
	s.invited(t)
	if len(p.Messages) != 2 {
		t.Fatalf("%d mails after an hour", len(p.Messages))
	}
	s.looks(t, first, Cancelled)
	s.looks(t, p.link(t), Ready)
}

// Somebody who is setting up an app goes on with that, whoever logs in meanwhile.
func TestSessionIsNotInterrupted(t *testing.T) {
	s, p := inviting(t)
	s.invited(t)
	s.Clock = s.Clock.Add(55 * time.Minute)
	link := p.link(t)
	setup := s.begin(t, link)
	s.Clock = s.Clock.Add(10 * time.Minute)
	s.invited(t)
	if len(p.Messages) != 1 {
		t.Error("another link was mailed during the browser session")
	}
	s.confirm(t, s.answer(t, setup))

	// Nor does a browser session end that begins while another link is on its way.
	s, p = inviting(t)
	s.invited(t)
	link = p.link(t)
	s.Clock = s.Clock.Add(time.Hour)
	p.do = func(context.Context) { setup = s.begin(t, link) }
	s.invited(t)
	s.looks(t, p.link(t), Ready)
	s.confirm(t, s.answer(t, setup))
}

// A mail that did not go out costs nobody the link that there is, and is tried again, a
// few times in an hour.
func TestLinkThatIsNotMailed(t *testing.T) {
	s, p := inviting(t)
	p.Fails = errors.New("the server is away")
	if told := s.tries(t, gate.Fault, "policy.unenrolled"); !strings.Contains(told, "could not be mailed") {
		t.Errorf("told %q", told)
	}
	for _, want := range []string{`verdict=not-sent rule=email:link reason="the link could not be mailed: the server is away"`, "verdict=fault rule=policy.unenrolled"} {
		if !strings.Contains(s.Lines(), want) {
			t.Errorf("no %s in\n%s", want, s.Lines())
		}
	}
	if links, err := s.ListOf(t.Context(), "alice"); err != nil || len(links) != 1 || links[0].State != "cancelled" {
		t.Errorf("%+v, %v", links, err)
	}
	for range 119 {
		s.Clock = s.Clock.Add(30 * time.Second)
		s.People.Login(t.Context(), s.request("alice"), &conversation{})
	}
	// What is forgotten as time goes on may be sent again.
	if most := 2 * s.People.Config.Sent.PerHour; p.tries > most {
		t.Errorf("tried %d times in an hour, expected at most %d", p.tries, most)
	}
	s.Clock, p.Fails = s.Clock.Add(time.Hour), nil
	s.invited(t)
	good := p.link(t)
	for what, breaks := range map[string]func(){
		"the server refuses": func() { p.Fails = errors.New("the server is away") },
		"the process dies":   func() { p.do = func(context.Context) { panic("killed") } },
	} {
		s.Clock = s.Clock.Add(time.Hour)
		p.Fails, p.do = nil, nil
		breaks()
		before := p.tries
		if got := s.People.Login(t.Context(), s.request("alice"), &conversation{}); got.Decision != gate.Fault || p.tries != before+1 {
			t.Errorf("%s: %v, tried %d times", what, got, p.tries-before)
		}
		s.looks(t, good, Ready)
	}
}

// Nobody is mailed anything who has no address, or was shut out, or has proven nothing.
func TestWhoIsNotInvited(t *testing.T) {
	for what, test := range map[string]struct {
		user   string
		change func(*site)
		reason string
	}{
		"no secret file": {"bob", nil, "no link is mailed, as there is no address in a secret file; otpctl invite bob --email ADDRESS gives one"},
		"no address":     {"alice", func(s *site) { s.change(t, func(p *account.Person) { p.Email = "" }) }, "otpctl invite alice --email ADDRESS"},
		"disabled":       {"alice", func(s *site) { s.change(t, func(p *account.Person) { p.Enabled = false }) }, "refuse: disabled"},
	} {
		s, p := inviting(t)
		if test.change != nil {
			test.change(s)
		}
		c := &conversation{}
		got := s.People.Login(t.Context(), s.request(test.user), c)
		if got.Decision == gate.Accept || got.Decision == gate.NotAsked || got.Rule != "policy.unenrolled" || !strings.Contains(got.Reason, test.reason) || !strings.Contains(c.told, "Please ask your administrator") {
			t.Errorf("%s: %+v, told %q", what, got, c.told)
		}
		if p.tries > 0 {
			t.Errorf("%s: a link was mailed", what)
		}
		if _, err := os.Stat(s.People.Config.Paths.Users + "/bob.toml"); err == nil {
			t.Errorf("%s: there is a secret file", what)
		}
	}
	s, p := inviting(t)
	request := s.request("alice")
	request.Unproven = true
	if got := s.People.Login(t.Context(), request, &conversation{}); got.Decision != gate.TooMany || p.tries > 0 {
		t.Errorf("unproven: %+v", got)
	}
}

// A link that an admin gave somebody is not ended by a login.
func TestHandedOverLinkStays(t *testing.T) {
	s, p := inviting(t)
	link := s.invite(t, false).Link
	for range 3 {
		s.Clock = s.Clock.Add(5 * time.Hour)
		if told := s.invited(t); !strings.Contains(told, "You have been given a link") {
			t.Errorf("told %q", told)
		}
	}
	s.looks(t, link, Ready)
	if p.tries > 0 {
		t.Error("another link was mailed")
	}
	s.Clock = s.Clock.Add(3 * day)
	s.invited(t)
	s.looks(t, p.link(t), Ready)
}

// While grace lasts the link is mailed once, and nobody is kept out by the mail server.
func TestInvitedInGrace(t *testing.T) {
	s, p := inviting(t)
	s.People.Config.Policy.Grace = config.Grace{For: 10 * day}
	var within time.Duration
	p.do = func(ctx context.Context) {
		end, bounded := ctx.Deadline()
		if within = time.Until(end); !bounded {
			t.Error("a login that goes on waits for ever")
		}
	}
	told := s.tries(t, gate.NotAsked, "policy.grace")
	if !strings.Contains(told, "From "+gate.Clock(s.Clock.Add(10*day))) || !strings.Contains(told, "A link to set it up was mailed to somewhere") || strings.Contains(told, "log in again") {
		t.Errorf("told %q", told)
	}
	if within > graceMailing {
		t.Errorf("a login waits %v", within)
	}
	for range 50 {
		s.Clock = s.Clock.Add(time.Hour)
		if told := s.tries(t, gate.NotAsked, "policy.grace"); !strings.Contains(told, "was mailed to a…e@example.com at ") {
			t.Fatalf("told %q", told)
		}
	}
	if len(p.Messages) != 1 {
		t.Errorf("%d mails", len(p.Messages))
	}
	s.Clock, p.Fails = s.Clock.Add(2*day), errors.New("the server is away")
	if told := s.tries(t, gate.NotAsked, "policy.grace"); !strings.Contains(told, "could not be mailed") {
		t.Errorf("told %q", told)
	}
	s.change(t, func(person *account.Person) { person.Email = "" })
	if told := s.tries(t, gate.NotAsked, "policy.grace"); !strings.Contains(told, "your administrator tells you how") {
		t.Errorf("told %q", told)
	}
	s.Clock = s.Clock.Add(10 * day)
	s.tries(t, gate.TooMany, "policy.unenrolled")
}

// Of many logins at once one mails a link.
func TestInvitedByManyLoginsAtOnce(t *testing.T) {
	s, p := inviting(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := s.People.Login(context.Background(), s.request("alice"), &conversation{}); got.Decision != gate.TooMany {
				t.Errorf("%+v", got)
			}
		})
	}
	all.Wait()
	if p.tries != 1 {
		t.Errorf("%d mails", p.tries)
	}
	s.looks(t, p.link(t), Ready)
}

// A client has no more sent than its file allows, to whomever.
func TestInvitedOnAClient(t *testing.T) {
	s, p := inviting(t)
	s.People.Client, s.People.ClientSends = "web1", 2
	for _, name := range []string{"bob", "carol", "dave"} {
		dir, err := s.place().Create()
		if err != nil {
			t.Fatal(err)
		}
		err = dir.Change(name, func(person *account.Person) error { person.Email = name + "@example.com"; return nil })
		if err = errors.Join(err, dir.Close()); err != nil {
			t.Fatal(err)
		}
		s.People.Login(t.Context(), s.request(name), &conversation{})
	}
	if p.tries != 2 || p.Messages[0].Host != "web1" {
		t.Errorf("%d mails, the first of %s", p.tries, fmt.Sprint(p.Messages))
	}
}
