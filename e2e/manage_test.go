package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Somebody enrolled has a link mailed by the page, and by it and a code renames the
// device, adds another one and removes the first: sshd does accordingly.
func TestManagedByThePage(t *testing.T) {
	t.Parallel()
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	here := newPageSiteWith(t, "managed", emailTable(t, server), "period = 300\n", "manage = true\n")
	p := machine.NewPerson(t, "managed")
	p.Write(t, here.Users, strings.Replace(p.SecretFile(), "\n\n[[factor]]", "\nemail = \""+p.Mail()+"\"\n\n[[factor]]", 1))
	b := here.browser(t, p.Address)
	b.askLink(t, p)
	link := managedLink(t, p)
	status, text := b.sends(t, "POST", link, url.Values{"current": {p.Wrong(t)}})
	if status != http.StatusUnprocessableEntity {
		t.Fatalf("%d\n%s", status, text)
	}
	if status, text = b.sends(t, "POST", link, url.Values{"current": {p.Code(t, -9)}}); status != http.StatusOK || !strings.Contains(text, "Wrong codes that were typed for you since your last login: 1.") {
		t.Fatalf("%d\n%s", status, text)
	}
	b.does(t, "The device has another name now.", "do", "rename", "id", "phone", "name", "laptop")
	sshd := startSSHD(t, here.Site)
	expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, -8))), 1)
	machine.Log.Expect(t, "otpgate", "user="+p.Name+" ", "verdict=accepted", "rule=totp:laptop")
	tablet := b.adds(t, "tablet")
	b.does(t, "The device counts from now on.", "do", "confirm", "first", tablet.code(t, 0))
	expectIn(t, p, sshd.Login(t, p, answers(p, tablet.code(t, 1))), 1)
	b.does(t, "The device is removed.", "do", "remove", "id", "laptop", "current", p.Code(t, -7))
	expectOut(t, p, sshd.Login(t, p, answers(p, codeBut(t, p, tablet), "", "")), 3)
	expectIn(t, p, sshd.Login(t, p, answers(p, tablet.code(t, 3))), 1)
	if status, text := b.sends(t, "GET", "/manage", nil); status != http.StatusOK || !strings.Contains(text, p.Address) || !strings.Contains(text, "wrong code") {
		t.Errorf("%d\n%s", status, text)
	}
	machine.Until(t, "a letter about each change", func() bool {
		all := strings.Join(p.Letters(t), "\n")
		return strings.Contains(all, "The device phone is called laptop now.") && strings.Contains(all, "The device tablet was added.") && strings.Contains(all, "The device laptop was removed.")
	})
}

// sends is send that must have an answer.
func (w *web) sends(t *testing.T, method, path string, form url.Values) (status int, text string) {
	t.Helper()
	got, err := w.send(method, path, form)
	if err != nil {
		t.Fatal(err)
	}
	return got.status, got.text
}

// askLink has a link mailed.
func (w *web) askLink(t *testing.T, p *machine.Person) {
	t.Helper()
	for _, name := range []string{"nobody-of-this-name", p.Name} {
		if status, text := w.sends(t, "POST", "/self", url.Values{"user": {name}}); status != http.StatusOK || !strings.Contains(text, "Look for the mail") {
			t.Fatalf("%d\n%s", status, text)
		}
	}
}

var linkToManage = regexp.MustCompile(`(?m)^https://otp\.example\.com(/m/([a-z2-7]{32}))\r?$`)

// managedLink is the path of the link in the letter.
func managedLink(t *testing.T, p *machine.Person) string {
	t.Helper()
	letter := p.Letter(t)
	found := linkToManage.FindStringSubmatch(letter)
	if found == nil {
		t.Fatalf("expected a link, found\n%s", letter)
	}
	machine.Keep(found[2])
	return found[1]
}

// does presses a button of the page, which must say that text then. Recovery codes on it
// are secret.
func (w *web) does(t *testing.T, says string, fields ...string) {
	t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	status, text := w.sends(t, "POST", "/manage", form)
	for _, code := range recovery.FindAllStringSubmatch(text, -1) {
		machine.Keep(code[1])
	}
	if status != http.StatusOK || !strings.Contains(text, says) {
		t.Fatalf("%d\n%s", status, text)
	}
}

// added is a device that was added on the page.
type added struct {
	key *otp.Key
	at  time.Time
}

// adds begins with another device.
func (w *web) adds(t *testing.T, name string) added {
	t.Helper()
	got, err := w.send("POST", "/manage", url.Values{"do": {"add-device"}, "name": {name}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := got.key()
	if err != nil {
		t.Fatal(err)
	}
	return added{key, time.Now()}
}

// code is what it shows so many steps from when it was added, to be typed.
func (a added) code(t *testing.T, steps int) string {
	t.Helper()
	code := a.shows(t, steps)
	machine.Keep(code)
	return code
}

// shows is code for what nobody types: each code that is kept is one more that a search may
// find by chance.
func (a added) shows(t *testing.T, steps int) string {
	t.Helper()
	at := a.at.Add(time.Duration(steps) * time.Duration(a.key.Period()) * time.Second)
	code, err := totp.GenerateCodeCustom(a.key.Secret(), at, totp.ValidateOpts{Period: uint(a.key.Period()), Digits: a.key.Digits()})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// codeBut is a code of the person's phone that no other device shows about now.
func codeBut(t *testing.T, p *machine.Person, other added) string {
	t.Helper()
	others := map[string]bool{}
	for steps := -25; steps <= 25; steps++ {
		others[other.shows(t, steps)] = true
	}
	for offset := -7; ; offset++ {
		if code := p.Code(t, offset); !others[code] {
			return code
		}
	}
}
