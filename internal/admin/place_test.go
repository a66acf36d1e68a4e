package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// place is a gate with a clock, people, groups and a log that tests set.
type place struct {
	People
	now    time.Time
	people map[string]account.Person
	broken error               // what Load fails with
	alias  map[string]string   // Canonical
	others map[string][]string // Others
	groups map[string][]string // group → members
	mu     sync.Mutex
	log    []audit.Record
}

func newPlace(t *testing.T) *place {
	t.Helper()
	store, err := ledger.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	p := &place{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), people: map[string]account.Person{}}
	p.Gate = &gate.Gate{Config: config.Default(), Accounts: p, Ledger: store, Names: p, Audit: p, Now: func() time.Time { return p.now }}
	return p
}

func (p *place) Load(name string) (account.Person, error) {
	if p.broken != nil {
		return account.Person{}, p.broken
	}
	person, found := p.people[name]
	if !found {
		return account.Person{}, fmt.Errorf("%s: %w", name, account.ErrNotFound)
	}
	return person, nil
}

func (p *place) Canonical(user string) (string, bool, error) {
	if user == "nss-down" {
		return "", false, errors.New("name service is down")
	}
	if name, found := p.alias[user]; found {
		return name, true, nil
	}
	return user, false, nil
}

func (p *place) Others(user string) ([]string, error) {
	if user == "uids-down" {
		return nil, errors.New("name service is down")
	}
	return p.others[user], nil
}

func (p *place) Like(name string) (like []string, err error) {
	for other := range p.people {
		if other != name && strings.EqualFold(other, name) {
			like = append(like, other)
		}
	}
	return like, p.broken
}

func (p *place) InGroup(user, group string) (bool, error) {
	members, found := p.groups[group]
	if !found {
		return false, errors.New("unknown group")
	}
	for _, member := range members {
		if member == user {
			return true, nil
		}
	}
	return false, nil
}

func (p *place) Write(r audit.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, r)
}

var confirmed = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// enroll gives name a secret and returns its recovery codes.
func (p *place) enroll(name string) []string {
	codes, recovery := factor.NewRecovery(name)
	p.people[name] = account.Person{
		Version: 1, User: name, Enabled: true, Recovery: recovery,
		Factors: []account.Factor{{
			ID: "phone", Kind: account.TOTP, Secret: account.Secret("secret of " + name + ", 20 bytes"),
			Digits: 6, Period: 30, Algorithm: "SHA1", Confirmed: confirmed,
		}},
	}
	return codes
}

// code is what name's app shows steps from now, by an independent library.
func (p *place) code(t *testing.T, name string, steps int) string {
	t.Helper()
	at := p.now.Add(time.Duration(steps) * 30 * time.Second)
	code, err := totp.GenerateCodeCustom(p.people[name].Factors[0].Secret.Base32(), at, totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
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
		return gate.Answer{Text: next.last()}, nil
	case func() any:
		return gate.Answer{Text: next().(string)}, nil
	}
	return gate.Answer{}, next.(error)
}

func (s *script) Tell(_ gate.Tone, text string) { s.told = append(s.told, text) }

func (p *place) login(user string, talk *script) gate.Verdict {
	return p.Login(context.Background(), gate.Request{User: user, Service: "sshd", RemoteHost: "192.0.2.1"}, talk)
}

func expect(t *testing.T, got gate.Verdict, decision gate.Decision, rule string) {
	t.Helper()
	if got.Decision != decision || got.Rule != rule {
		t.Errorf("got %s by %s (%s), want %s by %s", got.Decision, got.Rule, got.Reason, decision, rule)
	}
}

type failingLedger struct{}

func (failingLedger) View(context.Context, ledger.Key) (ledger.Entry, error) {
	return ledger.Entry{}, nil
}
func (failingLedger) Update(_ context.Context, _ ledger.Key, change func(*ledger.Entry) error) error {
	var entry ledger.Entry
	if err := change(&entry); err != nil {
		return err
	}
	return errors.New("no space left on device")
}
func (failingLedger) Close() error { return nil }

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
func (p *place) asked(peer string) *place {
	engine := *p.Gate
	engine.Peer = peer
	return &place{People: People{&engine}, now: p.now, people: p.people}
}
