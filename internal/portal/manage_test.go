package portal

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/portalanswer"
)

// ownSite is a site on which people who are enrolled look after what is theirs. Alice has
// a phone.
type ownSite struct {
	*site
	mu    sync.Mutex
	mails []deliver.Message
}

// Send keeps a mail.
func (s *ownSite) Send(_ context.Context, message deliver.Message) (deliver.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, message)
	return deliver.Delivery{Channel: deliver.Email, To: deliver.MaskEmail(message.Email)}, nil
}

func newOwnSite(t *testing.T) *ownSite {
	t.Helper()
	s := &ownSite{site: newSite(t, func(s *Settings) { s.Manage = true })}
	settings, err := config.Parse("f", []byte("[email]\nsmtp = 'smtps://h'\nfrom = 'a@h'\n[portal]\nurl = 'https://otp.example.com'\nmanage = true\nreport_to = 'security@example.com'\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.engine.Config.Portal, s.engine.Config.Email, s.engine.Host = settings.Portal, settings.Email, "server1"
	s.engine.Sender = s
	s.behind = &portalanswer.Later{}
	_, _ = s.enroll(t)
	s.change(t, func(person *account.Person) { person.Email = "alice@example.com" })
	return s
}

// sent are the mails so far.
func (s *ownSite) sent() []deliver.Message {
	s.behind.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails
}

// codeOf is what a device of alice's shows. Each call is a step later than the one before.
func (s *ownSite) codeOf(t *testing.T, id string) string {
	t.Helper()
	s.Clock = s.Clock.Add(30 * time.Second)
	return enginetest.DeviceCode(t, s.engine, "alice", id, s.Clock)
}

// link has one mailed, by the page, and gives its path.
func (s *ownSite) link(t *testing.T, b *browser) string {
	t.Helper()
	before := len(s.sent())
	s.says(t, b.send(t, "POST", askPath, url.Values{"user": {"alice"}}), http.StatusOK, "asked")
	mails := s.sent()
	if len(mails) != before+1 {
		t.Fatalf("%d mails:\n%s", len(mails)-before, s.Lines())
	}
	path, ok := strings.CutPrefix(mails[before].Link, "https://otp.example.com")
	if !ok {
		t.Fatal(mails[before].Link)
	}
	return path
}

// enters opens what is alice's in a browser.
func (s *ownSite) enters(t *testing.T, b *browser) answered {
	t.Helper()
	page := b.send(t, "POST", s.link(t, b), url.Values{"current": {s.codeOf(t, "phone")}})
	if page.StatusCode != http.StatusOK || !strings.Contains(page.text, "<h1>Devices and logins of alice</h1>") || page.Request.URL.Path != managePath {
		t.Fatalf("%d at %s:\n%s", page.StatusCode, page.Request.URL.Path, page.text)
	}
	return page
}

// does presses a button.
func (b *browser) does(t *testing.T, do string, fields ...string) answered {
	t.Helper()
	form := url.Values{"do": {do}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.send(t, "POST", managePath, form)
}

var hiddenID = regexp.MustCompile(`name="id" value="([0-9a-f]{16})"`)

// The link and a code open what is alice's; without either it stays shut.
func TestEnterByThePage(t *testing.T) {
	s := newOwnSite(t)
	s.engine.Config.Policy.Session.Duration = 24 * time.Hour
	if !s.logsIn(s.codeOf(t, "phone")) {
		t.Fatal("alice does not log in")
	}
	b := s.browser(t)
	s.says(t, b.get(t, askPath), http.StatusOK, "ask")
	if got := b.send(t, "POST", askPath, url.Values{"user": {" "}}); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.text, "Type your login name.") {
		t.Errorf("%d\n%s", got.StatusCode, got.text)
	}
	s.says(t, b.send(t, "POST", askPath, url.Values{"user": {"bob"}}), http.StatusOK, "asked")
	s.says(t, b.get(t, managePath), http.StatusGone, "manage-visit-ended")
	link := s.link(t, b)
	log := s.Lines()
	for range 3 {
		s.says(t, b.get(t, link), http.StatusOK, "enter")
	}
	if s.Lines() != log {
		t.Errorf("a GET leaves\n%s", s.Lines())
	}
	s.says(t, b.get(t, "/l/"+strings.TrimPrefix(link, "/m/")), http.StatusNotFound, "unknown")
	got := b.send(t, "POST", link, url.Values{"current": {"12345"}})
	if got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.text, "This code is not right, or none of yours.") {
		t.Errorf("%d\n%s", got.StatusCode, got.text)
	}
	page := b.send(t, "POST", link, url.Values{"current": {s.codeOf(t, "phone")}})
	for _, want := range []string{"<h1>Devices and logins of alice</h1>", ">phone</strong>", "Left: 10.", "198.51.100.7", "right code, phone", "sshd"} {
		if !strings.Contains(page.text, want) {
			t.Errorf("expected %q in\n%s", want, page.text)
		}
	}
	id := hiddenID.FindStringSubmatch(page.text)
	if id == nil {
		t.Fatal(page.text)
	}
	page = b.does(t, "end-session", "id", id[1])
	if page.StatusCode != http.StatusOK || !strings.Contains(page.text, "The remembered login is ended") || !strings.Contains(page.text, "No login is remembered.") {
		t.Errorf("%d\n%s", page.StatusCode, page.text)
	}
	if mails := s.sent(); mails[len(mails)-1].Change != "A remembered login was ended." {
		t.Errorf("%+v", mails)
	}
	page = b.does(t, "end-session", "id", id[1])
	if page.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page.text, "That is not there any more.") {
		t.Errorf("%d\n%s", page.StatusCode, page.text)
	}
	s.says(t, b.does(t, "list"), http.StatusNotFound, "not-found")
	s.says(t, s.browser(t).get(t, link), http.StatusGone, "manage-used")
	s.says(t, b.does(t, "leave"), http.StatusOK, "left")
	s.says(t, b.get(t, managePath), http.StatusGone, "manage-visit-ended")
	if s.reported() != "" {
		t.Error(s.reported())
	}
}

// Whoever adds a device is told that it counts, and gets no recovery codes by that alone: a code
// of it is refused for them, and the text says why.
func TestDeviceWithoutRecoveryCodes(t *testing.T) {
	s := newOwnSite(t)
	s.change(t, func(person *account.Person) { person.Recovery = account.Recovery{} })
	b := s.browser(t)
	_ = s.enters(t, b)
	setup := b.does(t, "add-device", "name", "tablet")
	s.says(t, setup, http.StatusOK, "setup")
	wrong := b.does(t, "confirm", "first", "12")
	if wrong.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(wrong.text, "digits and nothing else.") {
		t.Errorf("%d\n%s", wrong.StatusCode, wrong.text)
	}
	done := b.does(t, "confirm", "first", s.code(t, setup, 0))
	if inCode.MatchString(done.text) || !strings.Contains(done.text, "The device counts from now on.") {
		t.Error(done.text)
	}
	young := b.does(t, "recovery", "current", s.codeOf(t, "tablet"))
	if young.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(young.text, "a device that you have just added") {
		t.Errorf("%d\n%s", young.StatusCode, young.text)
	}
	codes := b.does(t, "recovery", "current", s.codeOf(t, "phone"))
	s.says(t, codes, http.StatusOK, "codes")
	if found := inCode.FindAllStringSubmatch(codes.text, -1); len(found) != 10 {
		t.Error(codes.text)
	}
}

// Whoever presses the button of a link that was used, has ended or was cancelled, a moment
// after that or much later, is told when; so is who comes to an invitation.
func TestRefusedWithADate(t *testing.T) {
	s := newOwnSite(t)
	b := s.browser(t)
	link := s.link(t, b)
	code := s.codeOf(t, "phone")
	at := s.Clock
	for range 2 {
		_ = b.send(t, "POST", link, url.Values{"current": {code}})
		s.Clock = s.Clock.Add(time.Minute)
	}
	tells := func(page answered, status int, name string, at time.Time) {
		t.Helper()
		s.says(t, page, status, name)
		if want := at.UTC().Format("2 January 2006, 15:04 UTC"); !strings.Contains(page.text, want) {
			t.Errorf("expected %s in\n%s", want, page.text)
		}
	}
	tells(b.send(t, "POST", link, url.Values{"current": {code}}), http.StatusGone, "manage-used", at)
	link = s.link(t, b)
	ends := s.Clock.Add(time.Hour)
	s.Clock = s.Clock.Add(2 * time.Hour)
	tells(b.send(t, "POST", link, url.Values{"current": {code}}), http.StatusGone, "manage-expired", ends)
	link = s.link(t, b)
	s.change(t, func(person *account.Person) { person.Email = "new@example.com" })
	tells(b.send(t, "POST", link, url.Values{"current": {code}}), http.StatusGone, "manage-cancelled", s.Clock)
	invited := s.invite(t, true)
	at = s.Clock
	s.cancel(t)
	s.Clock = s.Clock.Add(time.Hour)
	tells(b.press(t, invited), http.StatusGone, "cancelled", at)
}

// What another page sends changes nothing, and a form without the cookie neither.
func TestManageRefusesForeigners(t *testing.T) {
	s := newOwnSite(t)
	b := s.browser(t)
	_ = s.enters(t, b)
	b.headers.Set("Sec-Fetch-Site", "cross-site")
	for _, path := range []string{askPath, managePath, "/m/abc"} {
		s.says(t, b.send(t, "POST", path, url.Values{"do": {"leave"}, "user": {"alice"}}), http.StatusForbidden, "foreign")
	}
	b.headers.Del("Sec-Fetch-Site")
	if page := b.get(t, managePath); page.StatusCode != http.StatusOK {
		t.Errorf("%d\n%s", page.StatusCode, page.text)
	}
	s.says(t, s.browser(t).does(t, "end-sessions"), http.StatusGone, "manage-visit-ended")
	for _, cookie := range b.Jar.Cookies(s.settings.URL) {
		if cookie.Name == manageCookie && strings.Contains(s.Lines(), cookie.Value) {
			t.Error("the log has a browser session")
		}
	}
}

// Where it is not switched on there is nothing of it.
func TestManageIsOff(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	for _, path := range []string{askPath, managePath, devicePath, "/m/" + strings.Repeat("a", 32)} {
		s.says(t, b.get(t, path), http.StatusNotFound, "not-found")
		s.says(t, b.send(t, "POST", path, url.Values{"user": {"alice"}}), http.StatusNotFound, "not-found")
	}
}
