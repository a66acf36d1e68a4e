package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
)

// addressed writes a secret file with an address, a number, and factors of
// these kinds in that order.
func addressed(t *testing.T, p *machine.Person, here machine.Site, kinds ...string) *machine.Person {
	t.Helper()
	text := fmt.Sprintf("version = 1\nuser = %q\nemail = %q\nphone = %q\n", p.Name, p.Mail(), phone)
	for _, kind := range kinds {
		secret := ""
		if kind == "totp" {
			p.Period = 300 // so that no code runs out on a busy machine
			secret = fmt.Sprintf("secret = %q\nperiod = %d\n", p.Secret, p.Period)
		}
		text += fmt.Sprintf("\n[[factor]]\nid = \"my-%s\"\nkind = %q\n%sconfirmed = 2026-11-22T10:00:00Z\n", kind, kind, secret)
	}
	p.Write(t, here.Users, text)
	return p
}

// emailTable is [email] for a server that asks for STARTTLS and a password.
func emailTable(t *testing.T, server *hosts.Exim) string {
	t.Helper()
	return emailWith("smtp = '" + server.SMTP + "'\n" + login(t, server, server.Password))
}

var mailed = regexp.MustCompile(`Your code: (\d{6})\b`)

// arrived are the codes of each person's letters, in the order in which they
// were seen: the names of letters do not tell their order.
var arrived = struct {
	sync.Mutex
	codes map[string][]string
}{codes: map[string][]string{}}

// mailedCode waits for the n-th letter and returns the code in it. The ones
// before have been asked for before.
func mailedCode(t *testing.T, p *machine.Person, n int) string {
	t.Helper()
	look := func() []string {
		arrived.Lock()
		defer arrived.Unlock()
		for _, letter := range p.Letters(t) {
			if match := mailed.FindStringSubmatch(letter); match != nil && !slices.Contains(arrived.codes[p.Name], match[1]) {
				arrived.codes[p.Name] = append(arrived.codes[p.Name], match[1])
				machine.Keep(match[1])
			}
		}
		return arrived.codes[p.Name]
	}
	machine.Until(t, fmt.Sprintf("letter %d has arrived for %s", n, p.Name), func() bool { return len(look()) >= n })
	return look()[n-1]
}

// askedFor logs p in by keyboard-interactive; answer says what to give at the
// n-th prompt for a code.
func askedFor(t *testing.T, sshd *hosts.SSHD, p *machine.Person, answer func(n int) string) machine.Dialogue {
	t.Helper()
	c := &client{person: p, answer: answer}
	return c.login(t, sshd, ssh.KeyboardInteractive(c.challenge))
}

// The first factor of the file is asked, the words switch, and each login has
// a code of its own.
func TestSentSSH(t *testing.T) {
	onAllPaths(t, "sent-ssh", "", func(t *testing.T, here machine.Site) {
		server, gateway := hosts.StartExim(t, hosts.EximOptions{Auth: true}), hosts.StartGateway(t)
		here.Configure(t, "[totp]\nwindow = 3\n"+emailTable(t, server)+gateway.Settings(""))
		sshd := startSSHD(t, here)
		first := addressed(t, machine.NewPerson(t, "sent"), here, "email", "totp")
		d := askedFor(t, sshd, first, func(int) string { return mailedCode(t, first, 1) })
		expectIn(t, first, d, 1)
		if want := "A code was sent to " + deliver.MaskEmail(first.Mail()); !strings.Contains(d.Transcript, want) {
			t.Errorf("expected %q in\n%s", want, d.Transcript)
		}
		expectAudit(t, first, "verdict=accepted", "rule=email:my-email")
		// That code is of that login; another login is sent another.
		old := mailedCode(t, first, 1)
		expectIn(t, first, askedFor(t, sshd, first, func(n int) string {
			if n == 1 {
				return old
			}
			return mailedCode(t, first, 2)
		}), 2)
		expectIn(t, first, askedFor(t, sshd, first, func(int) string { return first.Code(t, 0) }), 1)

		second := addressed(t, machine.NewPerson(t, "sent"), here, "totp", "email", "sms")
		d = askedFor(t, sshd, second, func(n int) string {
			switch n {
			case 1:
				return "email"
			case 2:
				return second.Wrong(t)
			}
			return mailedCode(t, second, 1)
		})
		expectIn(t, second, d, 3)
		d = askedFor(t, sshd, second, func(n int) string {
			if n == 1 {
				return "sms"
			}
			return texted(t, gateway, 1)
		})
		expectIn(t, second, d, 2)
		expectAudit(t, second, "verdict=accepted", "rule=sms:my-sms")
	})
}

// texted waits for the n-th text message and returns the code in it.
func texted(t *testing.T, gateway *hosts.Gateway, n int) string {
	t.Helper()
	machine.Until(t, "the gateway has a message", func() bool { return len(gateway.Messages()) >= n })
	code := regexp.MustCompile(`\d{6}$`).FindString(gateway.Messages()[n-1].Body)
	machine.Keep(code)
	return code
}

// A gateway that fails is no obstacle while email works, and with both down
// nobody gets in, and the log says why.
func TestSentFallback(t *testing.T) {
	onAllPaths(t, "sent-fallback", "", func(t *testing.T, here machine.Site) {
		server, gateway := hosts.StartExim(t, hosts.EximOptions{Auth: true}), hosts.StartGateway(t)
		email := emailTable(t, server)
		here.Configure(t, email+gateway.Settings(""))
		sshd := startSSHD(t, here)
		n := 0
		p := addressed(t, machine.NewPerson(t, "fall"), here, "sms")
		for name, answer := range map[string]twiliotest.Answer{
			"refused": twiliotest.InvalidTo, "slow": twiliotest.Slow(time.Minute), "down": twiliotest.Error(500, 20500, "Internal Server Error"),
		} {
			timeout := ""
			if name == "slow" {
				timeout = "timeout = '10s'\n" // it must have been asked by then
			}
			here.Configure(t, email+gateway.Settings(timeout))
			gateway.Next(answer)
			n++
			d := askedFor(t, sshd, p, func(int) string { return mailedCode(t, p, n) })
			expectIn(t, p, d, 1)
			if !strings.Contains(d.Transcript, deliver.MaskEmail(p.Mail())) {
				t.Errorf("%s: was not told where the code is:\n%s", name, d.Transcript)
			}
		}
		expectAudit(t, p, "verdict=accepted", "rule=sms:my-sms", "sent by email to", "21211")
		here.Configure(t, strings.Replace(email, server.SMTP, "smtp://127.0.0.1:1", 1)+gateway.Settings(""))
		gateway.Next(twiliotest.InvalidTo)
		expectOut(t, p, askedFor(t, sshd, p, func(int) string { return "000000" }), 0)
		expectAudit(t, p, "verdict=fault", "rule=sms:my-sms", "21211", "connection refused")
	})
}

// A host that cannot ask: the bare password has a code sent and is refused, the
// next login carries it behind the password, once.
func TestSentField(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		start    func(t machine.T, service string) *hosts.Server
		protocol string
		path     machine.Path
	}{
		"vsftpd":           {hosts.StartVSFTPD, "ftp", machine.Resident},
		"vsftpd-remote":    {hosts.StartVSFTPD, "ftp", machine.Remote},
		"proftpd-tls":      {hosts.StartProFTPDWithTLS, "ftps", machine.Forked},
		"proftpd-resident": {hosts.StartProFTPD, "ftp", machine.Resident},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mail := hosts.StartExim(t, hosts.EximOptions{Auth: true})
			here := test.path.NewSite(t, "sent-"+name, emailTable(t, mail))
			here.AroundPassword(t, here.Name, debianPassword, "protocol="+test.protocol)
			server := test.start(t, here.Name)
			f := fieldTest{here, here.Name, test.protocol, ""}
			p := addressed(t, machine.NewPerson(t, "mai"), here, "email")
			f.try(t, server, p, "not-"+p.Password, false)
			if len(p.Letters(t)) > 0 {
				t.Error("a wrong password had a code sent")
			}
			f.try(t, server, p, p.Password, false, "verdict=denied", "rule=email:my-email", "for the next login")
			code := mailedCode(t, p, 1)
			f.try(t, server, p, "not-"+p.Password+code, false)
			f.try(t, server, p, p.Password+p.Wrong(t), false)
			f.try(t, server, p, p.Password+code, true, "verdict=accepted", "rule=email:my-email")
			// Now the field is a password again, and one that is wrong.
			f.try(t, server, p, p.Password+code, false)
			f.try(t, server, p, p.Password, false)
			f.try(t, server, p, p.Password+mailedCode(t, p, 2), true)
		})
	}
}

// With a session for its protocol a browser, which sends the same field with
// every request, gets a whole page, and a WebDAV client a whole tree; without,
// the second request is a replay.
func TestSessionOfWebClients(t *testing.T) {
	t.Parallel()
	machine.JoinGroup(t, "www-data", "shadow")
	for _, path := range byVerifier {
		t.Run(string(path), func(t *testing.T) {
			t.Parallel()
			sessionOfWebClients(t, path.NewSite(t, "apache-session", ""))
		})
	}
}

func sessionOfWebClients(t *testing.T, here machine.Site) {
	here.AroundPassword(t, here.Name, ownPassword, "protocol=webdav")
	apache := hosts.StartApacheFor(t, here.Name, here.Name, here.Name)
	const allow = "[totp]\nwindow = 3\n[verifier]\nallow = [\"www-data\"]\n"
	p := machine.NewPerson(t, "web").Enroll(t, here.Users)
	field := p.Password + p.Code(t, 0)
	here.Configure(t, allow)
	if first, second := apache.DAV.In(t, p, field), apache.DAV.In(t, p, field); !first || second {
		t.Errorf("without a session: first %v, second %v", first, second)
	}
	here.Configure(t, allow+"[policy]\nsessions = { webdav = \"1h\" }\n")
	field = p.Password + p.Code(t, 1)
	for range 10 {
		if !apache.DAV.In(t, p, field) || !apache.HTTPS.In(t, p, field) {
			t.Fatalf("with a session a request is refused\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	if !apache.DAV.In(t, p, p.Password) {
		t.Error("with a session the password alone is refused")
	}
	for _, other := range []string{p.Password + p.Wrong(t), "not-" + field, "not-" + p.Password} {
		if apache.DAV.In(t, p, other) {
			t.Error("in with a wrong field")
		}
	}
	if out, err := exec.Command(machine.Files+"/otpctl", "--config", here.Deciding(), "session", "expire", p.Name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if apache.DAV.In(t, p, field) {
		t.Error("in after the session was ended")
	}
	if accepted := accepted(p); len(accepted) != 2 {
		t.Errorf("expected each code to be accepted once, found\n%s", machine.Text(accepted))
	}
}
