package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// gatewaysUID is daemon's, whom the tests' gateways run as.
const gatewaysUID = 1

// newServerRig is a rig for clients, with the client web1.
func newServerRig(t *testing.T, text string, change func(*clients.Client)) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clients")
	client := clients.Default()
	client.Client, client.Keys = "web1", []config.KeyHash{{1}}
	if change != nil {
		change(&client)
	}
	if err := clients.Save(dir, client); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, fmt.Sprintf("%s[gateway]\nuser = \"daemon\"\nclients = %q\n", text, dir), unhurried)
	r.server.engines.gateway.settle(patience)
	return r
}

// take sends a Take as the gateway does.
func (r *rig) take(t *testing.T, client string) (front, remotewire.Answer) {
	t.Helper()
	f := dialAs(t, gatewaysUID, r.socket)
	if err := remotewire.WriteTake(f, remotewire.Take{ID: remotewire.ID{1, 2}, Client: client}); err != nil {
		t.Fatal(err)
	}
	answer, err := remotewire.ReadAnswer(f)
	if err != nil {
		t.Fatal(err)
	}
	return f, answer
}

// remotely logs user in by web1, from a program of that kind.
func (r *rig) remotely(t *testing.T, begin remotewire.Begin, answers ...string) (remotewire.Outcome, *script) {
	t.Helper()
	f, answer := r.take(t, "web1")
	if !answer.Taken {
		t.Fatalf("%+v", answer)
	}
	person := &script{answers: answers}
	return relay(t, f, begin, person), person
}

// relay is a client's login that the server has taken.
func relay(t *testing.T, f front, begin remotewire.Begin, person *script) remotewire.Outcome {
	t.Helper()
	if err := remotewire.WriteBegin(f, begin); err != nil {
		t.Fatal(err)
	}
	outcome, err := remotewire.Relay(f, person)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// script is a person with a list of answers.
type script struct {
	answers []string
	told    string
	// typing is what happens while the person types the first one.
	typing func()
}

func (s *script) Ask(_ wire.Style, text string) (wire.Reply, error) {
	s.told += text + "\n"
	if typing := s.typing; typing != nil {
		s.typing = nil
		typing()
	}
	if len(s.answers) == 0 {
		return wire.Reply{Status: wire.NoAnswer}, nil
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	return wire.Reply{Status: wire.Answered, Text: answer}, nil
}

func (s *script) Tell(_ wire.Style, text string) error {
	s.told += text + "\n"
	return nil
}

func (s *script) Tail(int, int, string) (string, bool, error) { return "", false, nil }

func by(user string, program remotewire.Program) remotewire.Begin {
	return remotewire.Begin{Start: wire.Start{User: user, Service: "sshd", RemoteHost: "192.0.2.1", Timeout: unending}, Names: []string{user}, Program: program}
}

// The gateway's user asks for clients and for nothing else, and nobody else does.
func TestGatewayAlone(t *testing.T) {
	r := newServerRig(t, wide, nil)
	alice := r.enroll(t, "alice")
	outcome, _ := r.remotely(t, by("alice", remotewire.RootProgram), alice.code(t))
	if want := (remotewire.Outcome{Verdict: wire.Accept, Rule: "totp:phone"}); outcome != want {
		t.Errorf("%+v", outcome)
	}
	line := r.log.take(t, 1)[0]
	if line.Client != "web1" || line.ID != "0102000000000000" || line.Verdict != "accepted" || line.Remote != "192.0.2.1" || line.Peer != "" {
		t.Errorf("%+v", line)
	}
	// An ordinary login, of anybody, its own user among them.
	for _, user := range []string{"alice", "daemon", "root"} {
		f := dialAs(t, gatewaysUID, r.socket)
		if verdict, _, err := f.login(r.start(user), alice.code(t)); err == nil {
			t.Errorf("%s: the gateway was answered %v", user, verdict)
		}
	}
	r.log.take(t, 3)
	// A Take of somebody else, root among them, and one of no client.
	for _, uid := range []int{rootUID, alicesUID} {
		f := dialAs(t, uid, r.socket)
		if err := remotewire.WriteTake(f, remotewire.Take{Client: "web1"}); err != nil {
			t.Fatal(err)
		}
		if answer, err := remotewire.ReadAnswer(f); err == nil {
			t.Errorf("uid %d was answered %+v", uid, answer)
		}
	}
	f := dialAs(t, gatewaysUID, r.socket)
	if err := remotewire.WriteTake(f, remotewire.Take{}); err != nil {
		t.Fatal(err)
	}
	if answer, err := remotewire.ReadAnswer(f); err == nil {
		t.Errorf("no client was answered %+v", answer)
	}
	for _, line := range r.log.take(t, 3) {
		if line.Verdict != "fault" || line.Rule != "dialogue" {
			t.Errorf("%+v", line)
		}
	}
}

// Until a client begins nothing can be seen, and what cannot be decided is not taken.
func TestGatewayTake(t *testing.T) {
	r := newServerRig(t, wide, nil)
	f, answer := r.take(t, "web1")
	if !answer.Taken || len(answer.Ledger) != 16 || answer.Clock.IsZero() {
		t.Errorf("%+v", answer)
	}
	_ = f.Close()
	if _, again := r.take(t, "web1"); again.Ledger != answer.Ledger {
		t.Errorf("another ledger: %+v", again)
	}
	if _, answer := r.take(t, "web2"); answer.Taken || answer.Busy != "this machine's file there cannot be used" {
		t.Errorf("%+v", answer)
	}
	if line := r.log.take(t, 1)[0]; line.Rule != "gateway.clients" || line.Client != "web2" || !strings.Contains(line.Reason, "no such client") {
		t.Errorf("%+v", line)
	}
	state := filepath.Join(r.dir, "state")
	if err := os.Rename(state, state+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, answer := r.take(t, "web1"); answer.Taken || answer.Busy != "its ledger is out of reach" {
		t.Errorf("%+v", answer)
	}
	if line := r.log.take(t, 1)[0]; line.Rule != "ledger" {
		t.Errorf("%+v", line)
	}
}

// What a client's file does not name, whoever is spelled how, is denied alike.
func TestGatewayRefuses(t *testing.T) {
	r := newServerRig(t, wide, func(c *clients.Client) {
		c.Services, c.Users = []string{"sshd"}, []config.Selector{"alice", "@nowhere"}
	})
	alice := r.enroll(t, "alice")
	r.enroll(t, "bob")
	r.enroll(t, "ALICE")
	for name, test := range map[string]struct {
		begin remotewire.Begin
		rule  string
	}{
		"another service":    {remotewire.Begin{Start: wire.Start{User: "alice", Service: "sudo", Timeout: unending}, Names: []string{"alice"}, Program: remotewire.RootProgram}, "client.services"},
		"another user":       {by("bob", remotewire.RootProgram), "client.users"},
		"nobody":             {by("nobody-at-all", remotewire.RootProgram), "client.users"},
		"a false spelling":   {remotewire.Begin{Start: wire.Start{User: "alice", Service: "sshd", Timeout: unending}, Names: []string{"bob"}, Program: remotewire.RootProgram}, "client.users"},
		"a false other name": {remotewire.Begin{Start: wire.Start{User: "alice", Service: "sshd", Timeout: unending}, Names: []string{"alice", "bob"}, Program: remotewire.RootProgram}, "client.users"},
		"another's capitals": {remotewire.Begin{Start: wire.Start{User: "ALICE", Service: "sshd", Timeout: unending}, Names: []string{"alice"}, Program: remotewire.RootProgram}, "client.users"},
	} {
		outcome, person := r.remotely(t, test.begin, alice.code(t))
		if outcome.Verdict != wire.Deny || outcome.Rule != test.rule || person.told != gate.MayNotAsk+"\n" {
			t.Errorf("%s: %+v, told %q", name, outcome, person.told)
		}
		if line := r.log.take(t, 1)[0]; line.Verdict != "denied" || line.Rule != test.rule {
			t.Errorf("%s: %+v", name, line)
		}
	}
	split := by("bob", remotewire.RootProgram)
	split.Start.Split = true
	if outcome, person := r.remotely(t, split); outcome.Verdict != wire.Ignore || person.told != "" {
		t.Errorf("split: %+v, told %q", outcome, person.told)
	}
	if outcome, _ := r.remotely(t, by("alice", remotewire.RootProgram), alice.code(t)); outcome.Verdict != wire.Accept {
		t.Errorf("what it may: %+v", outcome)
	}
}

// What a client's file says counts until the verdict: whoever takes it away or narrows
// it while somebody types a code has the login denied, and the code is not spent.
func TestGatewayWithdrawn(t *testing.T) {
	for rule, change := range map[string]func(*clients.Client){
		"client.services": func(c *clients.Client) { c.Services = []string{"sudo"} },
		"client.users":    func(c *clients.Client) { c.Users = []config.Selector{"bob"} },
		"gateway.clients": nil,
	} {
		r := newServerRig(t, wide, nil)
		alice := r.enroll(t, "alice")
		current, err := r.server.engines.current(func() {})
		if err != nil {
			t.Fatal(err)
		}
		dir := current.Config.Gateway.Clients
		client, err := clients.Load(dir, "web1")
		if err != nil {
			t.Fatal(err)
		}
		narrow := func() {
			err := clients.Remove(dir, "web1")
			if change != nil {
				narrowed := client
				change(&narrowed)
				err = clients.Save(dir, narrowed)
			}
			if err != nil {
				t.Error(err)
			}
		}
		code := alice.code(t)
		for name, person := range map[string]*script{
			"at the prompt":    {answers: []string{code}, typing: narrow},
			"before it begins": {answers: []string{code}},
		} {
			if err := clients.Save(dir, client); err != nil {
				t.Fatal(err)
			}
			f, answer := r.take(t, "web1")
			if !answer.Taken {
				t.Fatalf("%+v", answer)
			}
			if person.typing == nil {
				narrow()
			}
			outcome := relay(t, f, by("alice", remotewire.RootProgram), person)
			if outcome.Verdict != wire.Deny || outcome.Rule != rule || !strings.HasSuffix(person.told, gate.MayNotAsk+"\n") {
				t.Errorf("%s, %s: %+v, told %q", rule, name, outcome, person.told)
			}
			if line := r.log.take(t, 1)[0]; line.Verdict != "denied" || line.Rule != rule || line.User != "alice" {
				t.Errorf("%s, %s: %+v", rule, name, line)
			}
		}
		if err := clients.Save(dir, client); err != nil {
			t.Fatal(err)
		}
		if outcome, _ := r.remotely(t, by("alice", remotewire.RootProgram), code); outcome.Verdict != wire.Accept {
			t.Errorf("%s: the code is spent: %+v", rule, outcome)
		}
	}
}

// Wrong codes of a client's ordinary programs count apart, in one count for all of
// them, and those of its root lock the client before others.
func TestGatewayBudgets(t *testing.T) {
	r := newServerRig(t, "[policy.attempts]\nper_window = 3\nper_login = 3\n[totp]\nwindow = 10\n", func(c *clients.Client) { c.WrongCodes = 5 })
	alice, bob := r.enroll(t, "alice"), r.enroll(t, "bob")
	wrong := func(p *person, program remotewire.Program) {
		t.Helper()
		if outcome, _ := r.remotely(t, by(p.name, program), p.wrong(t), p.wrong(t), p.wrong(t)); outcome.Verdict != wire.MaxTries {
			t.Errorf("%+v", outcome)
		}
	}
	wrong(alice, remotewire.OwnProgram)
	if outcome, _ := r.remotely(t, by("alice", remotewire.AllowedProgram), alice.code(t)); outcome.Verdict != wire.MaxTries {
		t.Errorf("another budget for another program: %+v", outcome)
	}
	if outcome, _ := r.remotely(t, by("alice", remotewire.RootProgram), alice.code(t)); outcome.Verdict != wire.Accept {
		t.Errorf("root's programs are locked too: %+v", outcome)
	}
	wrong(bob, remotewire.RootProgram)
	if verdict, _, err := dial(t, r.socket).login(r.start("alice"), alice.code(t)); verdict != wire.Accept || err != nil {
		t.Errorf("on the server: %v, %v", verdict, err)
	}
}

// A frame that is none ends the dialogue, and holds up nobody.
func TestGatewayGarbage(t *testing.T) {
	r := newServerRig(t, wide, nil)
	alice := r.enroll(t, "alice")
	for _, text := range []string{"\x20\xff\xff\xff", "\x20\x00\x00\x01\x02", "GET / HTTP/1.1\r\n\r\n", "\x01\x00\x00\x01\x01"} {
		f := dialAs(t, gatewaysUID, r.socket)
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%q was answered", text)
		}
	}
	r.log.take(t, 4)
	f, answer := r.take(t, "web1")
	if _, err := f.Write([]byte("\x21\x00\x00\x01\x09")); err != nil || !answer.Taken {
		t.Fatal(err, answer)
	}
	if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a begin that is none was answered")
	}
	r.log.take(t, 1)
	if outcome, _ := r.remotely(t, by("alice", remotewire.RootProgram), alice.code(t)); outcome.Verdict != wire.Accept {
		t.Errorf("%+v", outcome)
	}
}

// A client without a server denies, and says by whom it was not answered.
func TestClientWithoutServer(t *testing.T) {
	r := newRig(t, "[remote]\nservers = [\"127.0.0.1:1\"]\nserver_keys = [\""+config.KeyHash{}.String()+"\"]\nkey = \"/nonexistent/client.key\"\ntimeout = \"1s\"\n[policy]\nexempt = [\"bob\"]\n", unhurried)
	if verdict, _, err := dial(t, r.socket).login(r.start("bob")); verdict != wire.Ignore || err != nil {
		t.Errorf("%v, %v", verdict, err)
	}
	r.log.take(t, 1)
	for range 2 {
		verdict, told, err := dial(t, r.socket).login(r.start("alice"))
		if verdict != wire.Fault || !strings.Contains(told, "cannot be checked now") || err != nil {
			t.Errorf("%v, %q, %v", verdict, told, err)
		}
		line := r.log.take(t, 1)[0]
		if line.Rule != "remote" || line.Verdict != "fault" || line.ID == "" || !strings.Contains(line.Reason, "127.0.0.1:1: this machine's key") {
			t.Errorf("%+v", line)
		}
	}
	start := r.start("alice")
	start.Split = true
	if verdict, told, err := dial(t, r.socket).login(start); verdict != wire.Fault || told != "" || err != nil {
		t.Errorf("split: %v, %q, %v", verdict, told, err)
	}
	// No secret file is looked for, so that one that is there counts for nothing.
	r.enroll(t, "carol")
	if verdict, _, err := dial(t, r.socket).login(r.start("carol")); verdict != wire.Fault || errors.Is(err, errDeclined) {
		t.Errorf("%v, %v", verdict, err)
	}
}
