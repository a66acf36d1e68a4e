package e2e

import (
	"context"
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

// web is a browser with cookies, behind a web server that has the certificate and says
// where the browser is.
type web struct {
	http.Client
	from string
}

func newWeb(t *testing.T, socket, from string) *web {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &web{http.Client{Jar: jar, Transport: transport}, from}
}

func (w *web) send(t *testing.T, method, path string, form url.Values) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://otp.example.com"+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", w.from)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := w.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// An invitation arrives by mail, and by its link somebody enrolls on the page, which runs
// as its own user. Then sshd refuses that person without a code, and lets the next code
// and a recovery code in. Neither link nor key is in a log.
func TestInvitedByMail(t *testing.T) {
	t.Parallel()
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	here := machine.NewSite(t, "invited", "").Over(machine.Resident)
	systemd(t, here, "sysusers.d/otpgate.conf", "systemd-sysusers")
	run := filepath.Dir(here.Socket)
	listen := filepath.Join(run, "page", "http.sock")
	here.Configure(t, emailTable(t, server)+"[totp]\nwindow = 10\n[portal]\nurl = 'https://otp.example.com'\nsocket = '"+run+"/portal.sock'\nlisten = 'unix:"+listen+"'\n")
	machine.StartVerifier(t, here, machine.VerifierOptions{})
	machine.StartPage(t, here, listen)
	p := machine.NewPerson(t, "invited")
	link := mailedLink(t, here, server, p)
	b := newWeb(t, listen, p.Address)
	for range 100 {
		if status, text := b.send(t, "GET", link, nil); status != http.StatusOK || strings.Contains(text, "otpauth:") {
			t.Fatalf("%d\n%s", status, text)
		}
	}
	status, text := b.send(t, "POST", link, nil)
	uri := regexp.MustCompile(`href="(otpauth:[^"]*)"`).FindStringSubmatch(text)
	if status != http.StatusOK || uri == nil {
		t.Fatalf("%d\n%s", status, text)
	}
	key, err := otp.NewKeyFromURL(html.UnescapeString(uri[1]))
	if err != nil {
		t.Fatal(err)
	}
	machine.Keep(key.Secret())
	code := func(steps int) string {
		code, err := totp.GenerateCodeCustom(key.Secret(), time.Now().Add(time.Duration(steps)*30*time.Second), totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix})
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	first := code(0)
	status, text = b.send(t, "POST", "/setup", url.Values{"first": {first}})
	recovery := regexp.MustCompile(`<li><code>([^<]*)</code>`).FindAllStringSubmatch(text, -1)
	if status != http.StatusOK || len(recovery) != 10 {
		t.Fatalf("%d\n%s", status, text)
	}
	for _, one := range recovery {
		machine.Keep(one[1])
	}
	machine.Log.Expect(t, "otpgate", "user="+p.Name+" ", "remote="+p.Address, "verdict=enrolled", "by=link")
	sshd := startSSHD(t, here)
	expectOut(t, p, sshd.Login(t, p, answers(p, "", first, "")), 3)
	for _, next := range []string{code(1), recovery[0][1]} {
		expectIn(t, p, sshd.Login(t, p, answers(p, next)), 1)
	}
	if status, text := b.send(t, "GET", link, nil); status != http.StatusGone || !strings.Contains(text, "has been used") {
		t.Errorf("%d\n%s", status, text)
	}
	if status, text := b.send(t, "GET", "/setup", nil); status != http.StatusNotFound || strings.Contains(text, "otpauth:") {
		t.Errorf("%d\n%s", status, text)
	}
}

// mailedLink invites somebody by mail, and returns the path of the link in the letter.
func mailedLink(t *testing.T, here machine.Site, server *hosts.Exim, p *machine.Person) string {
	t.Helper()
	output, err := exec.Command(machine.Files+"/otpctl", "--config", here.Config, "invite", p.Name, "--email", p.Mail()).CombinedOutput()
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
