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

// Somebody invited enrolls on the page, which runs as its own user. The next code and a
// recovery code log in, and neither link nor key is in a log.
func TestInvitedOnThePage(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "page", "")
	systemd(t, here, "sysusers.d/otpgate.conf", "systemd-sysusers")
	run := filepath.Dir(here.Socket)
	listen := filepath.Join(run, "page", "http.sock")
	here.Configure(t, "[totp]\nwindow = 10\n[portal]\nurl = 'https://otp.example.com'\nsocket = '"+run+"/portal.sock'\nlisten = 'unix:"+listen+"'\n")
	machine.StartVerifier(t, here, machine.VerifierOptions{})
	machine.StartPage(t, here, listen)
	p := machine.NewPerson(t, "page")
	output, err := exec.Command(machine.Files+"/otpctl", "--config", here.Config, "invite", p.Name, "--print").CombinedOutput()
	found := regexp.MustCompile(`https://otp\.example\.com(/l/([a-z2-7]{32}))`).FindStringSubmatch(string(output))
	if err != nil || found == nil {
		t.Fatalf("%v: %s", err, output)
	}
	link := found[1]
	machine.Keep(found[2])
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
	status, text = b.send(t, "POST", "/setup", url.Values{"first": {code(0)}})
	recovery := regexp.MustCompile(`<li><code>([^<]*)</code>`).FindAllStringSubmatch(text, -1)
	if status != http.StatusOK || len(recovery) != 10 {
		t.Fatalf("%d\n%s", status, text)
	}
	for _, one := range recovery {
		machine.Keep(one[1])
	}
	machine.Log.Expect(t, "otpgate", "user="+p.Name+" ", "remote="+p.Address, "verdict=enrolled", "by=link")
	here.CodeOnly(t, "page", "protocol=ssh")
	for _, next := range []string{code(1), recovery[0][1]} {
		if verdict := plainLogin(t, "page", p, next); verdict != hosts.PAMSuccess {
			t.Errorf("the next code: expected PAM_SUCCESS, found %d", verdict)
		}
	}
	if status, text := b.send(t, "GET", link, nil); status != http.StatusGone || !strings.Contains(text, "has been used") {
		t.Errorf("%d\n%s", status, text)
	}
	if status, text := b.send(t, "GET", "/setup", nil); status != http.StatusNotFound || strings.Contains(text, "otpauth:") {
		t.Errorf("%d\n%s", status, text)
	}
}
