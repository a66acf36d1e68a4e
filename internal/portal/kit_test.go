package portal

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/portalanswer"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// site is a page over TLS, before a real engine with secret files and a ledger on disk,
// which it asks at a real socket. Tests set the clock of both.
type site struct {
	*gatetest.Machine
	engine   *gate.Gate
	server   *httptest.Server
	settings Settings
	// asked are the questions that the engine got, and faults what was reported.
	mu     sync.Mutex
	asked  []portalwire.Request
	faults []string
	// later is what the page does in a while.
	later []func()
	// behind is what the engine does behind its answers, nil where it does nothing there.
	behind *portalanswer.Later
}

func newSite(t *testing.T, change ...func(*Settings)) *site {
	t.Helper()
	m, engine := enginetest.New(t, t.TempDir())
	engine.Peer = "uid 997"
	s := &site{Machine: m, engine: engine}
	socket := s.answer(t)
	s.server = httptest.NewUnstartedServer(nil)
	own, err := url.Parse("https://" + s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.settings = Settings{
		URL: own, Now: s.engine.Now, Zone: time.UTC,
		Ask: func(ctx context.Context, request portalwire.Request) (portalwire.Answer, error) {
			return portalwire.Ask(ctx, socket, request)
		},
		Report: func(_, reason string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.faults = append(s.faults, reason)
		},
	}
	for _, c := range change {
		c(&s.settings)
	}
	languages, err := readLanguages(catalogue.Files)
	if err != nil {
		t.Fatal(err)
	}
	page := newPortal(s.settings, languages)
	page.after = func(_ time.Duration, f func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.later = append(s.later, f)
	}
	s.server.Config.Handler = page.routes()
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// answer has the engine answer at a socket.
func (s *site) answer(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "portal.sock")
	listener, err := net.Listen("unix", socket)
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
			go portalwire.Serve(context.Background(), conn, func(ctx context.Context, request portalwire.Request) (portalwire.Answer, error) {
				s.mu.Lock()
				s.asked = append(s.asked, request)
				s.mu.Unlock()
				return portalanswer.AnswerAll(ctx, s.engine, request, s.behind)
			})
		}
	}()
	return socket
}

func (s *site) reported() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.faults, "\n")
}

// last is what the engine was asked last.
func (s *site) last() portalwire.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

func (s *site) invitations() invitation.Invitations {
	return invitation.Invitations{People: admin.People{Gate: s.engine}, Random: rand.Reader}
}

// invite makes a link for alice, as a path.
func (s *site) invite(t *testing.T, replace bool) string {
	t.Helper()
	created, err := s.invitations().Create(t.Context(), invitation.Wanted{User: "alice", Factor: "phone", Replace: replace, For: 72 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return "/l/" + created.Link
}

// change changes alice's secret file.
func (s *site) change(t *testing.T, change func(*account.Person)) {
	t.Helper()
	enginetest.Change(t, s.engine, "alice", change)
}

// browser has its own cookies, and follows redirections.
type browser struct {
	*http.Client
	s       *site
	headers http.Header // of every request
}

func (s *site) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := *s.server.Client()
	client.Jar = jar
	return &browser{&client, s, http.Header{}}
}

// answered is what a browser got.
type answered struct {
	*http.Response
	text string
}

func (b *browser) send(t *testing.T, method, path string, form url.Values) answered {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.s.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = b.headers.Clone()
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{response, string(text)}
}

func (b *browser) get(t *testing.T, path string) answered { return b.send(t, "GET", path, nil) }

// press presses the button of a link.
func (b *browser) press(t *testing.T, link string) answered {
	return b.send(t, "POST", link, url.Values{})
}

// try sends a first code, and a current one.
func (b *browser) try(t *testing.T, first, current string) answered {
	return b.send(t, "POST", "/setup", url.Values{"first": {first}, "current": {current}})
}

// says expects a status, and the title of one of the pages.
func (s *site) says(t *testing.T, got answered, status int, page string) {
	t.Helper()
	languages, err := readLanguages(catalogue.Files)
	if err != nil {
		t.Fatal(err)
	}
	title := languages.all[0].Texts[page]["title"].Fill(func(string) string { return "a…e" })
	if got.StatusCode != status || !strings.Contains(got.text, "<h1>"+title+"</h1>") {
		t.Errorf("got %d, expected %d %q:\n%s", got.StatusCode, status, title, got.text)
	}
}

var tapped = regexp.MustCompile(`href="(otpauth://[^"]*)"`)

// code is what an app shows, steps from now, that took the key from a page.
func (s *site) code(t *testing.T, page answered, steps int) string {
	t.Helper()
	found := tapped.FindStringSubmatch(page.text)
	if found == nil {
		t.Fatalf("no key on the page:\n%s", page.text)
	}
	return gatetest.CodeOf(t, strings.ReplaceAll(found[1], "&amp;", "&"), s.Clock.Add(time.Duration(steps)*30*time.Second))
}

// wrong is a code that no app shows now which took its key from one of the pages.
func (s *site) wrong(t *testing.T, taken ...answered) string {
	var right []string
	for _, page := range taken {
		right = append(right, s.code(t, page, -1), s.code(t, page, 0), s.code(t, page, 1))
	}
	return gatetest.Other(right...)
}

// enroll gives alice a phone by a link, with its page and the one with recovery codes.
func (s *site) enroll(t *testing.T) (setup, done answered) {
	t.Helper()
	b := s.browser(t)
	setup = b.press(t, s.invite(t, false))
	done = b.try(t, s.code(t, setup, 0), "")
	s.says(t, done, http.StatusOK, "done")
	s.Clock = s.Clock.Add(time.Minute)
	return setup, done
}

// says is a conversation that gives one answer.
type says string

func (s says) Ask(string) (gate.Answer, error) { return gate.Answer{Text: string(s)}, nil }
func (says) Tell(gate.Tone, string)            {}

func (s *site) logsIn(code string) bool {
	verdict := s.engine.Login(context.Background(), gate.Request{User: "alice", Service: "sshd", RemoteHost: "198.51.100.7"}, says(code))
	return verdict.Decision == gate.Accept
}
