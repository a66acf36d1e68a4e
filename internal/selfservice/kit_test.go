package selfservice

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/otpauth"
)

const home = "192.0.2.1"

// site is a machine with secret files and a ledger on disk, whose clock tests set, and a
// mailbox. What is done later is done at once.
type site struct {
	Service
	*gatetest.Machine
	mailbox
	recovery []string       // alice's
	was      account.Person // alice, as a test keeps her
}

// mailbox is a sender that keeps messages, or fails.
type mailbox struct {
	mu    sync.Mutex
	mails []deliver.Message
	fails error
}

func (m *mailbox) Send(_ context.Context, message deliver.Message) (deliver.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		return deliver.Delivery{}, m.fails
	}
	m.mails = append(m.mails, message)
	return deliver.Delivery{Channel: deliver.Email, To: deliver.MaskEmail(message.Email)}, nil
}

// atOnce does at once what is done later.
type atOnce struct{}

func (atOnce) Look(job Job)   { job.Do(context.Background()) }
func (atOnce) Link(job Job)   { job.Do(context.Background()) }
func (atOnce) Change(job Job) { job.Do(context.Background()) }

// last is the last mail.
func (m *mailbox) last(t *testing.T) deliver.Message {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.mails) == 0 {
		t.Fatal("there is no mail")
	}
	return m.mails[len(m.mails)-1]
}

func (m *mailbox) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mails)
}

// newSite has alice with a phone, recovery codes and an address.
func newSite(t *testing.T) *site {
	t.Helper()
	m, engine := enginetest.New(t, t.TempDir())
	engine.Peer, engine.Host = "uid 997", "server1"
	settings, err := config.Parse("f", []byte("[email]\nsmtp = 'smtps://h'\nfrom = 'a@h'\n[portal]\nurl = 'https://otp.example.com'\nmanage = true\nreport_to = 'security@example.com'\n"))
	if err != nil {
		t.Fatal(err)
	}
	engine.Config.Portal, engine.Config.Email = settings.Portal, settings.Email
	s := &site{Machine: m}
	engine.Sender = &s.mailbox
	s.Service = Service{People: admin.People{Gate: engine}, Random: rand.Reader, Later: atOnce{}}
	s.edit(t, func(person *account.Person) {
		person.Email = "alice@example.com"
		f := enrollment.NewFactor("phone", engine.Config.TOTP)
		f.Confirmed = s.Clock
		person.Factors = append(person.Factors, f)
		s.recovery, person.Recovery = factor.NewRecovery("alice")
	})
	return s
}

// edit changes alice's secret file, as an admin does.
func (s *site) edit(t *testing.T, change func(*account.Person)) {
	t.Helper()
	enginetest.Change(t, s.People.Gate, "alice", change)
}

func (s *site) alice(t *testing.T) account.Person {
	t.Helper()
	person, err := s.People.Accounts.Load("alice")
	if err != nil {
		t.Fatal(err)
	}
	return person
}

// devices are those of alice that count.
func (s *site) devices(t *testing.T) string {
	var ids []string
	for _, f := range s.alice(t).Confirmed() {
		ids = append(ids, f.ID)
	}
	return strings.Join(ids, " ")
}

// code is what a device of alice's shows, by an independent library. Each call is a step
// later than the one before, so that no code has been used.
func (s *site) code(t *testing.T, id string) string {
	t.Helper()
	s.Clock = s.Clock.Add(30 * time.Second)
	return s.codeNow(t, id)
}

func (s *site) codeNow(t *testing.T, id string) string {
	t.Helper()
	return enginetest.DeviceCode(t, s.People.Gate, "alice", id, s.Clock)
}

// wrong is a code that no device of alice's shows about now.
func (s *site) wrong(t *testing.T) string {
	var right []string
	for _, f := range s.alice(t).Factors {
		if f.Kind.IsSent() {
			continue
		}
		for steps := -2; steps <= 2; steps++ {
			right = append(right, gatetest.CodeOf(t, otpauth.URI("example.com", "alice", f), s.Clock.Add(time.Duration(steps)*30*time.Second)))
		}
	}
	return gatetest.Other(right...)
}

// link is one that was mailed.
func (s *site) link(t *testing.T) string {
	t.Helper()
	before := s.count()
	s.Ask("alice", home, "")
	if s.count() != before+1 {
		t.Fatalf("no link was mailed:\n%s", s.Lines())
	}
	link, ok := strings.CutPrefix(s.last(t).Link, "https://otp.example.com/m/")
	if !ok {
		t.Fatalf("the mail has %q", s.last(t).Link)
	}
	return link
}

// enters opens a browser session by a link and a code of the phone.
func (s *site) enters(t *testing.T) BrowserSession {
	t.Helper()
	entered, err := s.Enter(t.Context(), s.link(t), s.code(t, "phone"), home)
	if err != nil {
		t.Fatal(err)
	}
	return BrowserSession{Token: entered.BrowserSession, Remote: home}
}

func (s *site) shows(t *testing.T, browser BrowserSession) Overview {
	t.Helper()
	overview, err := s.Show(t.Context(), browser)
	if err != nil {
		t.Fatal(err)
	}
	return overview
}

// over expects that a browser session is, for that reason.
func (s *site) over(t *testing.T, browser BrowserSession, want error) {
	t.Helper()
	if _, err := s.Show(t.Context(), browser); !errors.Is(err, want) {
		t.Errorf("got %v, expected %v", err, want)
	}
}

// remembers has logins of alice's remembered, and makes some from those addresses.
func (s *site) remembers(t *testing.T, from ...string) {
	t.Helper()
	s.People.Config.Policy.Session.Duration = 24 * time.Hour
	for _, address := range from {
		own := *s.People.Gate
		own.Peer = ""
		verdict := own.Login(t.Context(), gate.Request{User: "alice", Service: "sshd", RemoteHost: address}, says(s.code(t, "phone")))
		if verdict.Decision != gate.Accept {
			t.Fatalf("%+v", verdict)
		}
	}
}

// logsIn says what becomes of a login with a code.
func (s *site) logsIn(t *testing.T, from, code string) gate.Decision {
	own := *s.People.Gate
	own.Peer = ""
	return own.Login(t.Context(), gate.Request{User: "alice", Service: "sshd", RemoteHost: from}, says(code)).Decision
}

// says is a conversation that gives one answer.
type says string

func (s says) Ask(string) (gate.Answer, error) { return gate.Answer{Text: string(s)}, nil }
func (says) Tell(gate.Tone, string)            {}

func (s *site) entry(t *testing.T, key ledger.Key) ledger.Entry {
	t.Helper()
	entry, err := s.People.Ledger.View(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// encrypts has the secrets encrypted with a key from now on.
func (s *site) encrypts(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	_, data := keyring.NewFile()
	if err := os.WriteFile(path, data, 0o400); err != nil {
		t.Fatal(err)
	}
	s.People.Config.Secrets.Keys = []string{path}
	s.People.Accounts = enginetest.Files{Place: s.place()}
	s.edit(t, func(*account.Person) {})
}
