package admin

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// fixture is a gate on a machine that tests set, and what is done to its people.
type fixture struct {
	People
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
	return &fixture{People{&gate.Gate{Config: config.Default(), Accounts: m, Ledger: store, Names: m, Audit: m, Now: func() time.Time { return m.Clock }}}, m}
}

// script is a conversation that answers from a list.
type script struct {
	answers []any // string, gate.Answer or error
	asked   int
	told    []string
}

func says(answers ...any) *script { return &script{answers: answers} }

func (s *script) Ask(prompt string) (gate.Answer, error) {
	s.asked++
	if len(s.answers) == 0 {
		return gate.Answer{}, errors.New("no more answers")
	}
	next := s.answers[0]
	s.answers = s.answers[1:]
	switch next := next.(type) {
	case string:
		return gate.Answer{Text: next}, nil
	case gate.Answer:
		return next, nil
	case lastCode:
		return gate.Answer{Text: next.Last()}, nil
	case func() any:
		return gate.Answer{Text: next().(string)}, nil
	}
	return gate.Answer{}, next.(error)
}

func (s *script) Tell(_ gate.Tone, text string) { s.told = append(s.told, text) }

func (p *fixture) login(user string, conversation *script) gate.Verdict {
	return p.Login(context.Background(), gate.Request{User: user, Service: "sshd", RemoteHost: "192.0.2.1"}, conversation)
}

func expect(t *testing.T, got gate.Verdict, decision gate.Decision, rule string) {
	t.Helper()
	if got.Decision != decision || got.Rule != rule {
		t.Errorf("got %s by %s (%s), want %s by %s", got.Decision, got.Rule, got.Reason, decision, rule)
	}
}

// lastCode answers with the newest code that was sent by then.
type lastCode struct{ *gatetest.Sender }

// What a login is told.
const (
	wrongCode   = "That code is not right."
	usedCode    = "That code has been used. Wait for the next one."
	usedOfToken = "That code has been used. Have the device make another one."
)

func newSecret(algorithm string) account.Secret {
	return enrollment.NewFactor("", config.TOTP{Algorithm: algorithm}).Secret
}

// files are secret files on disk.
type files string

func (f files) Load(name string) (account.Person, error) {
	dir, err := account.Open(string(f))
	if err != nil {
		return account.Person{}, err
	}
	defer dir.Close()
	return dir.Load(name)
}

// asked is the place as programs of a user that is not root ask it.
func (p *fixture) asked(peer string) *fixture {
	engine := *p.Gate
	engine.Peer = peer
	return &fixture{People{&engine}, p.Machine}
}
