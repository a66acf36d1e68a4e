package portalanswer

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/portalwire"
)

const home = "192.0.2.1"

// site is a machine with secret files and a ledger on disk, whose engine answers a page
// over a real socket.
type site struct {
	*gatetest.Machine
	engine *gate.Gate
	socket string
	ended  chan error
}

func newSite(t *testing.T) *site {
	t.Helper()
	m, engine := enginetest.New(t, t.TempDir())
	engine.Peer = "uid 997"
	s := &site{Machine: m, engine: engine, ended: make(chan error, 1000)}
	s.serve(t, "portal.sock", func(ctx context.Context, request portalwire.Request) (portalwire.Answer, error) {
		return Answer(ctx, s.engine, request)
	})
	return s
}

// serve answers at a socket of that name, which the page asks from now on.
func (s *site) serve(t *testing.T, name string, answer func(context.Context, portalwire.Request) (portalwire.Answer, error)) {
	t.Helper()
	s.socket = filepath.Join(t.TempDir(), name)
	listener, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.ended <- portalwire.Serve(context.Background(), conn, answer)
		}
	}()
}

func (s *site) invitations() invitation.Invitations {
	return invitation.Invitations{People: admin.People{Gate: s.engine}, Random: rand.Reader}
}

func (s *site) invite(t *testing.T, replace bool) string {
	t.Helper()
	created, err := s.invitations().Create(t.Context(), invitation.Wanted{User: "alice", Factor: "phone", Replace: replace, For: 72 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return created.Link
}

// ask expects an answer.
func (s *site) ask(t *testing.T, request portalwire.Request) portalwire.Answer {
	t.Helper()
	request.Remote = home
	answer, err := portalwire.Ask(t.Context(), s.socket, request)
	if ended := <-s.ended; err != nil || ended != nil {
		t.Fatal(err, ended)
	}
	return answer
}

// refused expects that word.
func (s *site) refused(t *testing.T, request portalwire.Request, word string) portalwire.Answer {
	t.Helper()
	answer := s.ask(t, request)
	if answer.Refused != word {
		t.Errorf("%s: refused as %q, expected %q", request.Op, answer.Refused, word)
	}
	return answer
}

// code is what the device of a setup shows steps from now.
func (s *site) code(t *testing.T, setup *portalwire.Setup, steps int) string {
	t.Helper()
	return gatetest.CodeOf(t, setup.URI, s.Clock.Add(time.Duration(steps)*30*time.Second))
}

func (s *site) wrong(t *testing.T, setup *portalwire.Setup) string {
	return gatetest.Other(s.code(t, setup, -1), s.code(t, setup, 0), s.code(t, setup, 1))
}

func TestEnrollByThePage(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	page := s.ask(t, portalwire.Request{Op: portalwire.Open, Link: link}).Page
	if page == nil || page.State != portalwire.Ready || page.Name != "a…e" || !page.At.Equal(s.Clock.Add(72*time.Hour)) {
		t.Fatalf("%+v", page)
	}
	setup := s.ask(t, portalwire.Request{Op: portalwire.Begin, Link: link}).Setup
	if again := s.ask(t, portalwire.Request{Op: portalwire.Resume, BrowserSession: setup.BrowserSession}).Setup; *again != *setup {
		t.Error("another setup is shown again")
	}
	if setup.ID != "phone" || setup.Digits != 6 || setup.Period != 30 || setup.Algorithm != "SHA1" || setup.Needs || !setup.Ends.Equal(s.Clock.Add(15*time.Minute)) ||
		!strings.Contains(setup.URI, "secret="+strings.ReplaceAll(setup.Key, " ", "")) {
		t.Errorf("%d digits, %d s, %s, until %v", setup.Digits, setup.Period, setup.Algorithm, setup.Ends)
	}
	enrolled := s.ask(t, portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: s.code(t, setup, 0)}).Enrolled
	if enrolled.ID != "phone" || enrolled.Replaced || len(enrolled.RecoveryCodes) != 10 {
		t.Errorf("%v with %d recovery codes", enrolled, len(enrolled.RecoveryCodes))
	}
	if page := s.ask(t, portalwire.Request{Op: portalwire.Open, Link: link}).Page; page.State != portalwire.Used || !page.At.Equal(s.Clock) {
		t.Errorf("%+v", page)
	}
	for _, request := range []portalwire.Request{{Op: portalwire.Begin, Link: link}, {Op: portalwire.Resume, BrowserSession: setup.BrowserSession}, {Op: portalwire.Confirm, BrowserSession: setup.BrowserSession}} {
		s.refused(t, request, portalwire.Used)
	}
}

// Each thing that the person can do something about has its word.
func TestWords(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	setup := s.ask(t, portalwire.Request{Op: portalwire.Begin, Link: link}).Setup
	confirm := portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: "12345"}
	s.refused(t, confirm, portalwire.MalformedFirst)
	confirm.First = s.wrong(t, setup)
	for range 4 {
		s.refused(t, confirm, portalwire.WrongFirst)
	}
	fresh := s.refused(t, confirm, portalwire.NewKey).Setup
	if fresh == nil || fresh.BrowserSession != setup.BrowserSession || fresh.Key == setup.Key {
		t.Fatal("no new key came with the word")
	}
	other := s.ask(t, portalwire.Request{Op: portalwire.Begin, Link: link}).Setup
	s.refused(t, confirm, portalwire.OpenedAgain)
	s.Clock = other.Ends
	s.refused(t, portalwire.Request{Op: portalwire.Resume, BrowserSession: other.BrowserSession}, portalwire.SessionEnded)

	last := s.ask(t, portalwire.Request{Op: portalwire.Begin, Link: link}).Setup
	confirm = portalwire.Request{Op: portalwire.Confirm, BrowserSession: last.BrowserSession, First: s.code(t, last, 0)}
	if s.ask(t, confirm).Enrolled == nil {
		t.Fatal("not enrolled")
	}
	further := s.ask(t, portalwire.Request{Op: portalwire.Begin, Link: s.invite(t, false)}).Setup
	if !further.Needs {
		t.Error("nothing says that a current code is needed")
	}
	confirm = portalwire.Request{Op: portalwire.Confirm, BrowserSession: further.BrowserSession, First: s.code(t, further, 0), Current: s.code(t, last, 0)}
	s.refused(t, confirm, portalwire.UsedCurrent)
	confirm.Current = s.wrong(t, last)
	s.refused(t, confirm, portalwire.WrongCurrent)
	// Wrong current codes by the page lock the person for the page alone.
	limit := s.engine.Config.Policy.Attempts.PerWindow
	for range limit - 1 {
		answer := s.ask(t, confirm)
		if answer.Refused == portalwire.Locked {
			break
		}
	}
	if locked := s.refused(t, confirm, portalwire.Locked); !locked.Until.After(s.Clock) {
		t.Errorf("locked until %v", locked.Until)
	}
	entry, err := s.engine.Ledger.View(t.Context(), ledger.UserKey("alice"))
	if err != nil || entry.Attempts.Wrong != 0 || entry.Peers["uid 997"].Attempts.Wrong != limit {
		t.Errorf("%+v, %+v, %v", entry.Attempts, entry.Peers, err)
	}
	s.refused(t, portalwire.Request{Op: portalwire.Begin, Link: strings.Repeat("a", 32)}, portalwire.Unknown)
}

// A first code that was used is told apart: the person waits for the next one.
func TestUsedFirst(t *testing.T) {
	s := newSite(t)
	setup := s.ask(t, portalwire.Request{Op: portalwire.Begin, Link: s.invite(t, false)}).Setup
	failing := &failing{Store: s.engine.Ledger, kind: ledger.Link}
	s.engine.Ledger = failing
	confirm := portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: s.code(t, setup, 0)}
	s.unanswered(t, confirm, "disk")
	s.engine.Ledger = failing.Store
	s.refused(t, confirm, portalwire.UsedFirst)
}

// failing is a ledger that cannot write one kind of key.
type failing struct {
	ledger.Store
	kind ledger.Kind
}

func (f *failing) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if key.Kind == f.kind {
		return errors.New("disk")
	}
	return f.Store.Update(ctx, key, change)
}

// unanswered expects that the page is told nothing, and the log why.
func (s *site) unanswered(t *testing.T, request portalwire.Request, why string) {
	t.Helper()
	if request.Remote == "" {
		request.Remote = home
	}
	answer, err := portalwire.Ask(t.Context(), s.socket, request)
	if ended := <-s.ended; err == nil || ended == nil || !strings.Contains(ended.Error(), why) {
		t.Errorf("%s: answered %v, %v; %v, expected %q", request.Op, answer, err, ended, why)
	}
}

// What cannot be decided, or counted, is not answered: neither is it a wrong link.
func TestDoubt(t *testing.T) {
	s := newSite(t)
	for _, remote := range []string{"-", "localhost", "192.0.2.1:80", strings.Repeat("1", 3000)} {
		s.unanswered(t, portalwire.Request{Op: portalwire.Begin, Link: strings.Repeat("a", 32), Remote: remote}, "X-Forwarded-For")
	}
	if answer, err := Answer(t.Context(), s.engine, portalwire.Request{Op: "list", Remote: home}); err == nil {
		t.Errorf("answered %v", answer)
	}
	s.engine.Ledger = &failing{Store: s.engine.Ledger, kind: ledger.Source}
	s.unanswered(t, portalwire.Request{Op: portalwire.Begin, Link: strings.Repeat("a", 32)}, "disk")
}
