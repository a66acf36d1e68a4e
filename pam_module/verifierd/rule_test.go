package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// byRule is a login whose front reads the rule.
func byRule(t *testing.T, f front, start wire.Start, answers ...string) (remotewire.Outcome, *script) {
	t.Helper()
	start.Rule = true
	if err := f.open(start); err != nil {
		t.Fatal(err)
	}
	person := &script{answers: answers}
	outcome, err := remotewire.Relay(f, person)
	if err != nil {
		t.Fatal(err)
	}
	return outcome, person
}

// A front of root's that asks for the rule gets the one that is in the log. Others
// are told no more than the verdict.
func TestRuleAheadOfTheVerdict(t *testing.T) {
	r := newRig(t, wide+"[policy]\nexempt = [\"bob\"]\nrequire = [\"nobody\"]\n", unhurried)
	alice := r.enroll(t, "alice")
	for _, test := range []struct {
		user    string
		answers []string
		want    remotewire.Outcome
	}{
		{"alice", []string{alice.code(t)}, remotewire.Outcome{Verdict: wire.Accept, Rule: "totp:phone"}},
		{"alice", []string{alice.wrong(t)}, remotewire.Outcome{Verdict: wire.Deny, Rule: "no-answer"}},
		{"bob", nil, remotewire.Outcome{Verdict: wire.Ignore, Rule: "policy.exempt"}},
		{"carol", nil, remotewire.Outcome{Verdict: wire.Ignore, Rule: "not-enrolled"}},
		{"nobody", nil, remotewire.Outcome{Verdict: wire.Deny, Rule: "policy.unenrolled"}},
		{"../alice", nil, remotewire.Outcome{Verdict: wire.Fault, Rule: "user-name"}},
	} {
		outcome, _ := byRule(t, dial(t, r.socket), r.start(test.user), test.answers...)
		if outcome != test.want {
			t.Errorf("%s: %+v, expected %+v", test.user, outcome, test.want)
		}
		for _, line := range r.log.take(t, 1) {
			if line.Rule != outcome.Rule {
				t.Errorf("%s: the log has %+v", test.user, line)
			}
		}
	}
	own, _ := byRule(t, dialAs(t, alicesUID, r.socket), r.start("alice"), alice.code(t))
	if want := (remotewire.Outcome{Verdict: wire.Accept}); own != want {
		t.Errorf("a program of alice's is told %+v", own)
	}
	r.log.take(t, 1)
	r.configure(t, "[policy")
	if outcome, _ := byRule(t, dial(t, r.socket), r.start("bob")); outcome != (remotewire.Outcome{Verdict: wire.Fault, Rule: "configuration"}) {
		t.Errorf("with a configuration that is wrong: %+v", outcome)
	}
}

// writes counts what comes in one piece each.
type writes struct {
	bytes.Buffer
	number int
}

func (w *writes) Write(p []byte) (int, error) {
	w.number++
	return w.Buffer.Write(p)
}

// The rule goes together with the verdict, so that nobody is woken for it alone.
func TestRuleAndVerdictAreOnePiece(t *testing.T) {
	var out writes
	rule := "totp:phone"
	peer := wire.Peer{Stream: verdictStream{newStream(&out), &rule}}
	if err := errors.Join(peer.Tell(wire.Info, "hello"), peer.End(wire.Accept)); err != nil || out.number != 2 {
		t.Errorf("%v, a prompt and the end in %d pieces", err, out.number)
	}
	person := &script{}
	if outcome, err := remotewire.Relay(&out, person); err != nil || outcome != (remotewire.Outcome{Verdict: wire.Accept, Rule: rule}) || person.told != "hello\n" {
		t.Errorf("%+v, %v, told %q", outcome, err, person.told)
	}
}

// The same on a client, where no server answers.
func TestRuleOnAClient(t *testing.T) {
	r := newRig(t, "[remote]\nservers = [\"127.0.0.1:1\"]\nserver_keys = [\""+config.KeyHash{}.String()+"\"]\nkey = \"/nonexistent/client.key\"\ntimeout = \"1s\"\n[policy]\nexempt = [\"bob\"]\n", unhurried)
	for user, want := range map[string]remotewire.Outcome{
		"bob": {Verdict: wire.Ignore, Rule: "policy.exempt"}, "alice": {Verdict: wire.Fault, Rule: "remote"},
	} {
		if outcome, _ := byRule(t, dial(t, r.socket), r.start(user)); outcome != want {
			t.Errorf("%s: %+v", user, outcome)
		}
	}
}

// Nobody enrolls where what came before the code is somebody's word alone.
func TestUnprovenEnrollsNobody(t *testing.T) {
	r := newRig(t, wide+"[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\n", unhurried)
	start := r.start("bob")
	start.Unproven = true
	outcome, person := byRule(t, dial(t, r.socket), start)
	if outcome.Verdict != wire.MaxTries || outcome.Rule != "policy.unenrolled" || !strings.Contains(person.told, "or an ed25519 key") {
		t.Errorf("%+v, %q", outcome, person.told)
	}
}
