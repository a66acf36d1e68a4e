package e2e

import (
	"context"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// pageSite is a site with a resident verifier, and the page, which runs as its own user.
type pageSite struct {
	machine.Site
	listen string // the page's socket, for a web server
	page   int    // its process
}

// newPageSite has text in the configuration, beside what the page needs. Codes have eight
// digits: those of many people with six would be found in a log by chance.
func newPageSite(t testing.TB, name, text string) pageSite {
	t.Helper()
	return newPageSiteWith(t, name, text, "digits = 8\n", "")
}

// newPageSiteWith also has more for the tables [totp] and [portal].
func newPageSiteWith(t testing.TB, name, text, totp, portal string) pageSite {
	t.Helper()
	return startPageSite(t, machine.NewSite(t, name, "").Over(machine.Resident), text, totp, portal)
}

// startPageSite has a site be one with the page.
func startPageSite(t testing.TB, here machine.Site, text, totp, portal string) pageSite {
	t.Helper()
	systemd(t, here, "sysusers.d/otpgate.conf", "systemd-sysusers")
	run := filepath.Dir(here.Socket)
	listen := filepath.Join(run, "page", "http.sock")
	here.Configure(t, text+"[totp]\nwindow = 10\n"+totp+"[portal]\n"+portal+"url = 'https://otp.example.com'\nsocket = '"+run+"/portal.sock'\nlisten = 'unix:"+listen+"'\n")
	here.Verifier = machine.StartVerifier(t, here, machine.VerifierOptions{})
	return pageSite{here, listen, machine.StartPage(t, here, listen)}
}

// otpctl runs it at the site, which must not fail.
func (s pageSite) otpctl(t testing.TB, input string, args ...string) (output string) {
	t.Helper()
	cmd := exec.Command(machine.Files+"/otpctl", append([]string{"--config", s.Config}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("otpctl %q: %v", args, err)
	}
	return string(text)
}

// invites gives each of them a link, as a path, in the same order.
func (s pageSite) invites(t testing.TB, people ...*machine.Person) (links []string) {
	t.Helper()
	file := "user\n"
	for _, p := range people {
		file += p.Name + "\n"
	}
	printed := s.otpctl(t, file, "invite", "--csv", "-", "--print", "--no-user-check")
	for _, p := range people {
		found := regexp.MustCompile(`(?m)^` + p.Name + `: https://otp\.example\.com(/l/([a-z2-7]{32}))$`).FindStringSubmatch(printed)
		if found == nil {
			t.Fatalf("no link for %s", p.Name)
		}
		machine.Keep(found[2])
		links = append(links, found[1])
	}
	return links
}

// mailed invites somebody by mail, and returns the path of the link in the letter.
func (s pageSite) mailed(t *testing.T, server *hosts.Exim, p *machine.Person) string {
	t.Helper()
	output, err := exec.Command(machine.Files+"/otpctl", "--config", s.Config, "invite", p.Name, "--email", p.Mail()).CombinedOutput()
	if err != nil || strings.Contains(string(output), "/l/") {
		t.Fatalf("%v: %s\n%s", err, output, server.Log(t))
	}
	letter := p.Letter(t)
	found := regexp.MustCompile(`(?m)^https://otp\.example\.com(/l/([a-z2-7]{32}))\r?$`).FindStringSubmatch(letter)
	if found == nil || !strings.Contains(letter, "Subject: Set up your codes for ") {
		t.Fatalf("expected a link, found\n%s", letter)
	}
	machine.Keep(found[2])
	return found[1]
}

// web is a browser with cookies, behind a web server that has the certificate and says
// where the browser is.
type web struct {
	http.Client
	from string
	// timed, if set, makes each request.
	timed func(what string, request func())
}

// browser is somebody's at that address.
func (s pageSite) browser(t testing.TB, from string) *web {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// The web server opens a connection for each request, as nginx does.
	transport := &http.Transport{DisableKeepAlives: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.listen)
	}}
	return &web{Client: http.Client{Jar: jar, Transport: transport}, from: from}
}

// answered is what a browser got.
type answered struct {
	status int
	text   string
}

func (w *web) get(path string) (answered, error) { return w.send("GET", path, nil) }

// press presses the button of a link.
func (w *web) press(link string) (answered, error) { return w.send("POST", link, nil) }

// types sends a first code.
func (w *web) types(code string) (answered, error) {
	return w.send("POST", "/setup", url.Values{"first": {code}})
}

func (w *web) send(method, path string, form url.Values) (got answered, err error) {
	if w.timed == nil {
		return w.answer(method, path, form)
	}
	what, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	w.timed(method+" /"+what, func() { got, err = w.answer(method, path, form) })
	return got, err
}

func (w *web) answer(method, path string, form url.Values) (got answered, err error) {
	request, err := http.NewRequest(method, "https://otp.example.com"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return got, err
	}
	request.Header.Set("X-Forwarded-For", w.from)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := w.Do(request)
	if err != nil {
		return got, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, string(body)}, err
}

var (
	tapped   = regexp.MustCompile(`href="(otpauth:[^"]*)"`)
	recovery = regexp.MustCompile(`<li><code>([^<]*)</code>`)
)

// key is that which the page has for an app.
func (a answered) key() (*otp.Key, error) {
	uri := tapped.FindStringSubmatch(a.text)
	if a.status != http.StatusOK || uri == nil {
		return nil, fmt.Errorf("no key: %d\n%s", a.status, a.text)
	}
	key, err := otp.NewKeyFromURL(html.UnescapeString(uri[1]))
	if err == nil {
		machine.Keep(key.Secret())
	}
	return key, err
}

// codes are the recovery codes on the page.
func (a answered) codes() (codes []string, err error) {
	for _, one := range recovery.FindAllStringSubmatch(a.text, -1) {
		codes = append(codes, one[1])
	}
	machine.Keep(codes...)
	if a.status != http.StatusOK || len(codes) != 10 {
		return codes, fmt.Errorf("%d recovery codes: %d\n%s", len(codes), a.status, a.text)
	}
	return codes, nil
}

// codeOf is what an app with that key shows, steps from now.
func codeOf(key *otp.Key, steps int) (string, error) {
	code, err := totp.GenerateCodeCustom(key.Secret(), time.Now().Add(time.Duration(steps)*30*time.Second), totp.ValidateOpts{Period: 30, Digits: key.Digits()})
	machine.Keep(code)
	return code, err
}

// enrolled is what somebody has who enrolled.
type enrolled struct {
	key   *otp.Key
	first string // the code that was used up
	codes []string
	// further is the key of one more device, nil if there is none, and typed codes of eight
	// digits of either: they are nowhere by chance.
	further *otp.Key
	typed   []string
}

// keys are those of all devices.
func (e enrolled) keys() (keys []string) {
	for _, key := range []*otp.Key{e.key, e.further} {
		if key != nil {
			keys = append(keys, key.Secret())
		}
	}
	return keys
}

// without expects that text has none of the secrets, nor a code that was typed.
func (e enrolled) without(t *testing.T, name, text string, secrets []string) {
	t.Helper()
	for _, one := range secrets {
		if strings.Contains(text, one) {
			t.Errorf("%s has the link, a recovery code or a key", name)
		}
	}
	for _, code := range e.typed { // by itself: within a longer number it is chance
		if strings.Contains(text, code) && regexp.MustCompile(`\b`+code+`\b`).MatchString(text) {
			t.Errorf("%s has a code that was typed", name)
		}
	}
}

// enrolls goes the whole way by a link.
func (w *web) enrolls(link string) (has enrolled, err error) {
	opened, err := w.get(link)
	if err == nil && opened.status != http.StatusOK {
		err = fmt.Errorf("opened: %d\n%s", opened.status, opened.text)
	}
	var setup, done answered
	if err == nil {
		setup, err = w.press(link)
	}
	if err == nil {
		has.key, err = setup.key()
	}
	if err == nil {
		has.first, err = codeOf(has.key, 0)
	}
	if err == nil {
		done, err = w.types(has.first)
	}
	if err == nil {
		has.codes, err = done.codes()
	}
	return has, err
}
