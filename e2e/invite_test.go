package e2e

import (
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/testuid"
)

// An invitation arrives by mail, and by its link somebody enrolls at the running
// verifier, who knows the page by its user. The next code logs in.
func TestInvitedByMail(t *testing.T) {
	t.Parallel()
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	here := machine.NewSite(t, "invited", "")
	systemd(t, here, "sysusers.d/otpgate.conf", "systemd-sysusers")
	socket := filepath.Join(filepath.Dir(here.Socket), "portal.sock")
	here.Configure(t, emailTable(t, server)+"[totp]\nwindow = 10\n[portal]\nurl = 'https://otp.example.com'\nsocket = '"+socket+"'\n")
	machine.StartVerifier(t, here, machine.VerifierOptions{})
	p := machine.NewPerson(t, "invited")
	output, err := exec.Command(machine.Files+"/otpctl", "--config", here.Config, "invite", p.Name, "--email", p.Mail()).CombinedOutput()
	if err != nil || strings.Contains(string(output), "/l/") {
		t.Fatalf("%v: %s\n%s", err, output, server.Log(t))
	}
	letter := p.Letter(t)
	found := regexp.MustCompile(`(?m)^https://otp\.example\.com/l/([a-z2-7]{32})\r?$`).FindStringSubmatch(letter)
	if found == nil || !strings.Contains(letter, "Subject: Set up your codes for ") {
		t.Fatalf("expected a link, found\n%s", letter)
	}
	machine.Keep(found[1])
	page := asPage(t, socket, portalwire.Request{Op: portalwire.Open, Link: found[1], Remote: p.Address}).Page
	if page == nil || page.State != portalwire.Ready {
		t.Fatalf("%+v", page)
	}
	setup := asPage(t, socket, portalwire.Request{Op: portalwire.Begin, Link: found[1], Remote: p.Address}).Setup
	if setup == nil {
		t.Fatal("no key is shown")
	}
	machine.Keep(strings.ReplaceAll(setup.Key, " ", ""))
	code := func(steps int) string {
		key, err := otp.NewKeyFromURL(setup.URI)
		if err != nil {
			t.Fatal(err)
		}
		code, err := totp.GenerateCodeCustom(key.Secret(), time.Now().Add(time.Duration(steps)*30*time.Second), totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix})
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	enrolled := asPage(t, socket, portalwire.Request{Op: portalwire.Confirm, Visit: setup.Visit, First: code(0), Remote: p.Address}).Enrolled
	if enrolled == nil || len(enrolled.RecoveryCodes) != 10 {
		t.Fatalf("not enrolled: %v", enrolled)
	}
	machine.Log.Expect(t, "otpgate", "user="+p.Name+" ", "verdict=enrolled", "by=link")
	here.CodeOnly(t, "invited", "protocol=ssh")
	if verdict := plainLogin(t, "invited", p, code(1)); verdict != hosts.PAMSuccess {
		t.Errorf("the next code: expected PAM_SUCCESS, found %d", verdict)
	}
}

// asPage asks as the page's user does.
func asPage(t *testing.T, socket string, request portalwire.Request) portalwire.Answer {
	t.Helper()
	account, err := user.Lookup("otpgate-portal")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	must(t, testuid.As(uid, func() (err error) {
		conn, err = net.Dial("unix", socket)
		return err
	}))
	defer conn.Close()
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(text, '\n')); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	var answer portalwire.Answer
	if err := json.Unmarshal(said, &answer); err != nil {
		t.Fatalf("%v is answered with %d bytes: %v", request, len(said), err)
	}
	return answer
}
