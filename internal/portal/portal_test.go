package portal

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/testwait"
)

var inCode = regexp.MustCompile(`<code>([^<]*)</code>`)

func TestEnroll(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	b := s.browser(t)
	s.says(t, b.get(t, link), http.StatusOK, "ready")
	setup := b.press(t, link)
	s.says(t, setup, http.StatusOK, "setup")
	if at := setup.Request.URL.Path; at != "/setup" {
		t.Errorf("the key is shown at %s", at)
	}
	if again := b.get(t, "/setup"); again.text != setup.text {
		t.Error("the page is another one when it is loaded again")
	}
	done := b.try(t, s.code(t, setup, 0), "")
	s.says(t, done, http.StatusOK, "done")
	codes := inCode.FindAllStringSubmatch(done.text, -1)
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes:\n%s", len(codes), done.text)
	}
	s.Clock = s.Clock.Add(time.Minute)
	if !s.logsIn(s.code(t, setup, 0)) || !s.logsIn(codes[3][1]) {
		t.Error("neither the app nor a recovery code logs in")
	}
	s.says(t, b.get(t, link), http.StatusGone, "used")
	s.says(t, b.press(t, link), http.StatusGone, "used")
	// The browser has lost its cookie, and with it the page with the key.
	for _, page := range []answered{b.get(t, "/setup"), b.try(t, s.code(t, setup, 0), "")} {
		s.says(t, page, http.StatusNotFound, "no-visit")
		if tapped.MatchString(page.text) || inCode.MatchString(page.text) {
			t.Errorf("it shows\n%s", page.text)
		}
	}
	if s.reported() != "" {
		t.Error(s.reported())
	}
}

// A scanner opens a link as often as it likes.
func TestLookingChangesNothing(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	first := s.browser(t).get(t, link)
	for range 50 {
		b := s.browser(t)
		if page := b.get(t, link); page.text != first.text || len(page.Header["Set-Cookie"]) > 0 {
			t.Fatalf("the page changes, or sets a cookie: %v", page.Header)
		}
		page := b.send(t, "HEAD", link, nil)
		if page.StatusCode != http.StatusOK || page.text != "" {
			t.Fatalf("HEAD: %d %q", page.StatusCode, page.text)
		}
	}
	if s.last().Op != portalwire.Open || strings.Count(s.Lines(), "\n") != 1 {
		t.Errorf("the log says more than that somebody was invited:\n%s", s.Lines())
	}
	b := s.browser(t)
	setup := b.press(t, link)
	s.says(t, b.try(t, s.code(t, setup, 0), ""), http.StatusOK, "done")
}

func TestMistakes(t *testing.T) {
	s := newSite(t)
	phone, _ := s.enroll(t)
	b := s.browser(t)
	setup := b.press(t, s.invite(t, false))
	for s.same(t, phone, setup) {
		s.Clock = s.Clock.Add(30 * time.Second)
	}
	if !strings.Contains(setup.text, `name="current"`) {
		t.Fatal("no code of the phone is asked for")
	}
	current, first := s.code(t, phone, 0), s.code(t, setup, 0)
	wrong := s.wrong(t, phone, setup)
	for _, one := range []struct{ first, current, mistake, field string }{
		{"12345", current, "malformed-first", "first"}, {"", current, "malformed-first", "first"}, {" " + first, current, "malformed-first", "first"},
		{wrong, current, "wrong-first", "first"}, {first, wrong, "wrong-current", "current"}, {first, "", "wrong-current", "current"},
	} {
		page := b.try(t, one.first, one.current)
		s.says(t, page, http.StatusUnprocessableEntity, "setup")
		field := regexp.MustCompile(`<input id="` + one.field + `"[^>]*aria-describedby="` + one.field + `-hint mistake" aria-invalid="true" autofocus>`)
		text := s.text(t, "mistake", one.mistake)
		if !strings.Contains(page.text, `role="alert">`+text) || !field.MatchString(page.text) || strings.Count(page.text, "aria-invalid") != 1 {
			t.Errorf("%s: expected %q at %s:\n%s", one.mistake, text, one.field, page.text)
		}
		if s.code(t, page, 0) != first {
			t.Errorf("%s: another key", one.mistake)
		}
	}
	s.says(t, b.try(t, first, current), http.StatusOK, "done")
}

// same says whether two pages' apps show one code among those that a test looks at.
func (s *site) same(t *testing.T, a, b answered) bool {
	codes := map[string]bool{}
	for steps := -2; steps <= 2; steps++ {
		codes[s.code(t, a, steps)] = true
	}
	for steps := -2; steps <= 2; steps++ {
		if codes[s.code(t, b, steps)] {
			return true
		}
	}
	return false
}

// text is an English one, for codes of six digits every half minute.
func (s *site) text(t *testing.T, table, key string) string {
	t.Helper()
	languages, err := readLanguages(catalogue.Files)
	if err != nil {
		t.Fatal(err)
	}
	return languages.all[0].Texts[table][key].Fill(func(word string) string { return map[string]string{"digits": "6", "period": "30"}[word] })
}

func TestNewKeyAfterTooManyMistakes(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	setup := b.press(t, s.invite(t, false))
	page := setup
	for range 5 {
		page = b.try(t, s.wrong(t, setup), "")
	}
	s.says(t, page, http.StatusUnprocessableEntity, "setup")
	if !strings.Contains(page.text, s.text(t, "mistake", "new-key")) || tapped.FindString(page.text) == tapped.FindString(setup.text) {
		t.Errorf("no new key:\n%s", page.text)
	}
	s.says(t, b.try(t, s.code(t, page, 0), ""), http.StatusOK, "done")
}

// Whoever presses twice sees the recovery codes, though they are made once: a browser
// shows the answer to the last press. A moment later they are gone.
func TestPressedTwice(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	setup := b.press(t, s.invite(t, false))
	twice := s.browser(t)
	twice.Jar.SetCookies(s.settings.URL, b.Jar.Cookies(s.settings.URL))
	again := s.browser(t)
	again.Jar.SetCookies(s.settings.URL, b.Jar.Cookies(s.settings.URL))
	code := s.code(t, setup, 0)
	one, other := b.try(t, code, ""), twice.try(t, code, "")
	s.says(t, one, http.StatusOK, "done")
	if len(inCode.FindAllString(one.text, -1)) != 10 || one.text != other.text {
		t.Errorf("one answer is\n%s\nand the other\n%s", one.text, other.text)
	}
	testwait.Until(t, "the page keeps the codes for a moment", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.later) == 1 })
	s.later[0]()
	s.says(t, again.try(t, code, ""), http.StatusGone, "used")
}

// The second press may come while the first one is looked at.
func TestPressedTwiceAtOnce(t *testing.T) {
	asked, answers := make(chan bool, 2), make(chan bool)
	p := newPortal(Settings{URL: &url.URL{}, Ask: func(context.Context, portalwire.Request) (portalwire.Answer, error) {
		asked <- true
		<-answers
		return portalwire.Answer{Enrolled: &portalwire.Enrolled{RecoveryCodes: []string{"abcd"}}}, nil
	}}, languages{})
	p.after = func(time.Duration, func()) {}
	request := portalwire.Request{Op: portalwire.Confirm, BrowserSession: "v", First: "123456"}
	seen := make(chan portalwire.Answer, 2)
	for range 2 {
		go func() {
			answer, _ := p.once(t.Context(), request)
			seen <- answer
		}()
	}
	<-asked
	close(answers)
	for range 2 {
		if answer := <-seen; answer.Enrolled == nil || len(answer.Enrolled.RecoveryCodes) != 1 {
			t.Errorf("one press is answered %v", answer)
		}
	}
	if len(asked) > 0 {
		t.Error("the verifier was asked twice")
	}
}

// A browser that presses twice gives the first request up, which may wait for a place.
func TestPressedTwiceWhileOthersAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPortal(Settings{URL: &url.URL{}, Ask: func(context.Context, portalwire.Request) (portalwire.Answer, error) {
			return portalwire.Answer{Enrolled: &portalwire.Enrolled{RecoveryCodes: []string{"abcd"}}}, nil
		}}, languages{})
		p.after = func(time.Duration, func()) {}
		p.asking = make(chan struct{}) // no place, until the test takes what is sent
		request := portalwire.Request{Op: portalwire.Confirm, BrowserSession: "v", First: "123456"}
		givenUp, giveUp := context.WithCancel(t.Context())
		giveUp()
		seen := make(chan error, 1)
		go func() {
			_, err := p.once(givenUp, request)
			seen <- err
		}()
		select {
		case <-p.asking: // its place
		case err := <-seen:
			t.Fatalf("it is given up: %v", err)
		}
		go func() { p.asking <- struct{}{} }() // which it gives back
		if err := <-seen; err != nil {
			t.Error(err)
		}
		if answer, err := p.once(t.Context(), request); err != nil || answer.Enrolled == nil {
			t.Errorf("the second press is answered %v, %v", answer, err)
		}
	})
}

// Of two browsers the last one that opened the link goes on, and the other is told.
func TestTwoBrowsers(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	one, other := s.browser(t), s.browser(t)
	before := one.press(t, link)
	after := other.press(t, link)
	if tapped.FindString(before.text) == tapped.FindString(after.text) {
		t.Error("both have one key")
	}
	s.says(t, one.get(t, "/setup"), http.StatusGone, "opened-again")
	s.says(t, one.try(t, s.code(t, before, 0), ""), http.StatusGone, "opened-again")
	s.says(t, other.try(t, s.code(t, after, 0), ""), http.StatusOK, "done")
	s.says(t, one.get(t, "/setup"), http.StatusGone, "used")
	// A page that was closed in the middle costs nothing.
	again := s.invite(t, true)
	s.browser(t).press(t, again)
	b := s.browser(t)
	setup := b.press(t, again)
	done := b.try(t, s.code(t, setup, 0), "")
	s.says(t, done, http.StatusOK, "done")
	if !strings.Contains(done.text, s.text(t, "done", "replaced")) {
		t.Error("nothing says that the phone is replaced")
	}
}

// Wrong links count against the address that they come from.
func TestWrongLinks(t *testing.T) {
	s := newSite(t)
	s.engine.Config.Policy.Attempts.PerSource = 5
	link := s.invite(t, false)
	b := s.browser(t)
	for _, wrong := range []string{"/l/" + strings.Repeat("a", 32), "/l/x", "/l/" + strings.Repeat("ä", 500)} {
		s.says(t, b.get(t, wrong), http.StatusNotFound, "unknown")
	}
	for range 5 {
		s.says(t, b.press(t, "/l/"+strings.Repeat("a", 32)), http.StatusNotFound, "unknown")
	}
	page := b.press(t, link)
	s.says(t, page, http.StatusTooManyRequests, "locked")
	if page.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
	for _, nothing := range []string{"/l/", "/l", "/setup/x", "/index.php"} {
		s.says(t, b.get(t, nothing), http.StatusNotFound, "not-found")
	}
	if response := b.send(t, "PUT", link, url.Values{}); response.StatusCode < 400 {
		t.Errorf("PUT: %d", response.StatusCode)
	}
}
