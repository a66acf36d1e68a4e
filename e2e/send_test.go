package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
)

// phone is where text messages go.
const phone = "+491511234567"

// post has the installed command send somebody a code, by the configuration.
type post struct {
	*machine.Person
	code    string
	program deliver.Program
	message deliver.Message
}

func newPost(t *testing.T, channel deliver.Channel, config string) *post {
	t.Helper()
	name := "send-" + strings.ToLower(strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name()))
	p := &post{Person: machine.NewPerson(t, "recipient"), program: deliver.Program{Path: machine.Sender, Config: machine.NewSite(t, name, config).Config}}
	p.code = fmt.Sprintf("%08d", rand.Int32N(100_000_000)) // eight are in nothing else by chance
	machine.Keep(p.code)
	p.message = deliver.Message{
		Channel: channel, User: p.Name, Service: "sshd", Remote: p.Address, Host: "machine", Email: p.Mail(), Phone: phone,
		Code: p.code, Expires: time.Now().Add(10 * time.Minute),
	}
	return p
}

// send fails t if what comes back, or is shown of it, has the code.
func (p *post) send(t *testing.T) (deliver.Delivery, error) {
	t.Helper()
	got, err := p.program.Send(context.Background(), p.message)
	text := got.To + got.Failed
	if err != nil {
		text += err.Error()
	}
	for _, secret := range []string{p.code, phone, p.Mail()} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows %s", text, secret)
		}
	}
	return got, err
}

// secretFile writes what the configuration names as a password's file.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// emailWith is the table [email] with these lines. Where they do not say how long a
// delivery may take, it is long enough for a busy machine.
func emailWith(lines string) string {
	if !strings.Contains(lines, "timeout = ") {
		lines += "timeout = '1m'\n"
	}
	return "[email]\nfrom = 'Codes <otpgate@" + machine.MailDomain + ">'\n" + lines
}

// login are the lines with which exim's clients log in.
func login(t *testing.T, e *hosts.Exim, password string) string {
	t.Helper()
	return "ca_file = '" + e.CA + "'\nusername = '" + e.Name + "'\npassword_file = '" + secretFile(t, password) + "'\n"
}

// A code arrives in its owner's mailbox, by each way to a mail server.
func TestSendByEmail(t *testing.T) {
	t.Parallel()
	asking := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	open := hosts.StartExim(t, hosts.EximOptions{})
	plain := hosts.StartExim(t, hosts.EximOptions{NoTLS: true, Sendmail: true})
	for _, test := range []struct {
		name   string
		server *hosts.Exim
		config string
		log    string // what the server's own log has of it
	}{
		{"STARTTLS", asking, "smtp = '" + asking.SMTP + "'\n" + login(t, asking, asking.Password), "P=esmtpsa X=TLS1.3"},
		{"TLS from the start", asking, "smtp = '" + asking.SMTPS + "'\n" + login(t, asking, asking.Password), "P=esmtpsa X=TLS1.3"},
		{"without a password", open, "smtp = '" + open.SMTP + "'\nca_file = '" + open.CA + "'\n", "P=esmtps X=TLS1.3"},
		{"without TLS", plain, "smtp = '" + plain.SMTP + "'\nstarttls = 'off'\n", "P=esmtp S="},
		{"sendmail", plain, "sendmail = '/usr/sbin/sendmail'\n", "P=local"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t, deliver.Email, emailWith("html = '<b>{auth_token}</b>'\n"+test.config))
			got, err := p.send(t)
			if want := (deliver.Delivery{Channel: deliver.Email, To: deliver.MaskEmail(p.Mail())}); got != want || err != nil {
				t.Fatalf("expected %+v, found %+v, %v\n%s", want, got, err, test.server.Log(t))
			}
			letter := p.Letter(t)
			for _, want := range []string{
				"Your code: " + p.code, "<b>" + p.code + "</b>", "multipart/alternative", `From: "Codes" <otpgate@` + machine.MailDomain + ">",
				"To: <" + p.Mail() + ">", "Subject: Your code for machine",
			} {
				if !strings.Contains(letter, want) {
					t.Errorf("expected %q in\n%s", want, letter)
				}
			}
			log := test.server.Log(t)
			line := ""
			for each := range strings.Lines(log) {
				if strings.Contains(each, " <= otpgate@") && strings.Contains(each, test.log) {
					line = each
				}
			}
			if line == "" || strings.Contains(log, p.code) {
				t.Errorf("expected %q and no code in\n%s", test.log, log)
			}
		})
	}
}

// What is not safe, or not wanted, is not sent, and the error says why.
func TestSendByEmailRefused(t *testing.T) {
	t.Parallel()
	asking := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	open := hosts.StartExim(t, hosts.EximOptions{})
	plain := hosts.StartExim(t, hosts.EximOptions{NoTLS: true})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	byName := strings.Replace(open.SMTP, hosts.Outside, "machine", 1)
	for _, test := range []struct {
		name, config, want string
		change             func(p *post)
	}{
		{"wrong password", "smtp = '" + asking.SMTP + "'\n" + login(t, asking, "wrong"), "535", nil},
		{"no password", "smtp = '" + asking.SMTP + "'\nca_file = '" + asking.CA + "'\n", "log in first", nil},
		{"server asks for none", "smtp = '" + plain.SMTP + "'\nstarttls = 'off'\nusername = 'u'\npassword_file = '" + secretFile(t, "x") + "'\n", "does not support SMTP AUTH", nil},
		{"untrusted, STARTTLS", "smtp = '" + open.SMTP + "'\n", "certificate signed by unknown authority", nil},
		{"untrusted, TLS", "smtp = '" + open.SMTPS + "'\n", "certificate signed by unknown authority", nil},
		{"another's certificate", "smtp = '" + open.SMTP + "'\nca_file = '" + asking.CA + "'\n", "certificate signed by unknown authority", nil},
		{"another name", "smtp = '" + byName + "'\nca_file = '" + open.CA + "'\n", "certificate", nil},
		{"no STARTTLS", "smtp = '" + plain.SMTP + "'\n", "STARTTLS", nil},
		{"no STARTTLS, but a password", "smtp = '" + plain.SMTP + "'\n" + login(t, plain, plain.Password), "STARTTLS", nil},
		{"no TLS there", "smtp = '" + strings.Replace(plain.SMTP, "smtp:", "smtps:", 1) + "'\n", "tls: first record does not look like a TLS handshake", nil},
		{"nobody of that name", "smtp = '" + open.SMTP + "'\nca_file = '" + open.CA + "'\n", "550", func(p *post) { p.message.Email = "nobody.there@" + machine.MailDomain }},
		{"another domain", "smtp = '" + open.SMTP + "'\nca_file = '" + open.CA + "'\n", "no relaying here", func(p *post) { p.message.Email = "alice@example.com" }},
		{"nobody listens", "smtp = 'smtp://127.0.0.1:1'\n", "connection refused", nil},
		{"nobody answers", "smtp = 'smtp://" + silent.Addr().String() + "'\ntimeout = '2s'\n", "not done in time, which is 2s at most", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t, deliver.Email, emailWith(test.config))
			if test.change != nil {
				test.change(p)
			}
			// Who does not keep to the timeout says so in other words.
			got, err := p.send(t)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "send a code by email: ") {
				t.Errorf("expected an error with %q, found %+v, %v", test.want, got, err)
			}
			t.Log(err)
			// Who is refused at the door has nothing in the box.
			if letters := p.Letters(t); len(letters) > 0 {
				t.Errorf("found %q", letters)
			}
		})
	}
	for _, server := range []*hosts.Exim{asking, open, plain} {
		if strings.Contains(server.Log(t), server.Password) {
			t.Error("the server was given its password where it was not safe, and logged it")
		}
	}
}

// A text message goes to the gateway, straight or through a proxy that sees
// nothing of it.
func TestSendBySMS(t *testing.T) {
	t.Parallel()
	const name, password = "otpgate", "pw-of-the-proxy"
	open, asking := hosts.StartTinyproxy(t, "", ""), hosts.StartTinyproxy(t, name, password)
	credentials := func(password string) string {
		return "proxy_username = '" + name + "'\nproxy_password_file = '" + secretFile(t, password) + "'\n"
	}
	for _, test := range []struct {
		name, config string
		proxy        *hosts.Proxy
		err          string
	}{
		{"straight", "", nil, ""},
		{"proxy", "proxy = '" + open.URL + "'\n", open, ""},
		{"proxy with password", "proxy = '" + asking.URL + "'\n" + credentials(password), asking, ""},
		{"proxy with wrong password", "proxy = '" + asking.URL + "'\n" + credentials("wrong"), nil, "the gateway cannot be reached: Unauthorized"},
		{"proxy without password", "proxy = '" + asking.URL + "'\n", nil, "the gateway cannot be reached: Proxy Authentication Required"},
		{"no proxy there", "proxy = 'http://127.0.0.1:1'\n", nil, "the gateway cannot be reached: proxyconnect tcp: dial tcp 127.0.0.1:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			gateway := hosts.StartGateway(t)
			p := newPost(t, deliver.SMS, gateway.Settings(test.config))
			got, err := p.send(t)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || gateway.Requests() != 0 {
					t.Errorf("expected %q, found %+v, %v, %d requests", test.err, got, err, gateway.Requests())
				}
				return
			}
			if want := (deliver.Delivery{Channel: deliver.SMS, To: "+49…567"}); got != want || err != nil {
				t.Fatalf("expected %+v, found %+v, %v", want, got, err)
			}
			sent := gateway.Messages()
			if len(sent) != 1 || sent[0].To != phone || sent[0].From != "+15005550006" || sent[0].Body != "Your code for machine: "+p.code {
				t.Errorf("found %+v", sent)
			}
			if test.proxy == nil {
				return
			}
			machine.Until(t, "the proxy has logged it", func() bool { return strings.Contains(test.proxy.Log(), "CONNECT "+hosts.Outside+":") })
			if log := test.proxy.Log(); strings.Contains(log, p.code) || strings.Contains(log, "Messages.json") || strings.Contains(log, twiliotest.Token) {
				t.Errorf("the proxy saw of it:\n%s", log)
			}
		})
	}
}

// A text message that fails, or may have, goes by email.
func TestSendFallsBack(t *testing.T) {
	t.Parallel()
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	email := emailTable(t, server)
	for _, test := range []struct {
		name   string
		answer twiliotest.Answer
		sms    string
		email  string
		failed string
		err    string
	}{
		{"refused", twiliotest.InvalidTo, "", email, "HTTP status 400, Twilio's error 21211: The 'To' number +49…567 is not a valid phone number.", ""},
		{"perhaps taken", twiliotest.Slow(time.Minute), "timeout = '10s'\n", email, "may have taken the message", ""},
		{"both down", twiliotest.Error(500, 20500, "Internal Server Error"), "", strings.Replace(email, server.SMTP, "smtp://127.0.0.1:1", 1), "",
			"send a code by sms: the gateway did not say that it took the message: HTTP status 500, Twilio's error 20500: Internal Server Error; then by email: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			gateway := hosts.StartGateway(t)
			gateway.Next(test.answer)
			p := newPost(t, deliver.SMS, gateway.Settings(test.sms)+test.email)
			got, err := p.send(t)
			if gateway.Requests() != 1 {
				t.Errorf("found %d requests", gateway.Requests())
			}
			if test.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.err) || !strings.Contains(err.Error(), "connection refused") {
					t.Errorf("found %+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Channel != deliver.Email || got.To != deliver.MaskEmail(p.Mail()) || !strings.Contains(got.Failed, test.failed) {
				t.Fatalf("expected %q, found %+v, %v", test.failed, got, err)
			}
			if letter := p.Letter(t); !strings.Contains(letter, "Your code: "+p.code) {
				t.Errorf("found %s", letter)
			}
		})
	}
}

// Root's programs and the verifier's own user take the same password, from the
// directory that is that user's; what is root's in there neither takes.
func TestSendAsOwnUser(t *testing.T) {
	t.Parallel()
	gateway := hosts.StartGateway(t)
	p := newPost(t, deliver.SMS, "")
	p.message.Email = "" // so that nothing else can be tried
	here := machine.NewSite(t, "send-own", "")
	password := filepath.Join(secretsOf(here), "sms")
	here.Configure(t, strings.Replace(gateway.Settings(""), gateway.TokenFile, password, 1))
	p.program.Config = here.Config
	if err := os.Mkdir(secretsOf(here), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func() {
		os.Remove(password)
		if err := os.WriteFile(password, []byte(twiliotest.Token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	as := own(t, here)
	both := func(want string) {
		t.Helper()
		if got := p.sendAs(t, nil); !strings.Contains(got, want) {
			t.Errorf("root: expected %q, found %s", want, got)
		}
		if got := p.sendAs(t, as); !strings.Contains(got, want) {
			t.Errorf("uid %d: expected %q, found %s", as.Uid, want, got)
		}
	}
	const sent = `"channel":"sms","to":"+49…567"`
	both(sent)
	write()
	both("expected")
	both("run chown")
	own(t, here) // as a restart of the service does
	both(sent)
	// Who is neither has no password to send with, and is told so.
	if got := p.sendAs(t, &syscall.Credential{Uid: uint32(p.UID), Gid: uint32(p.GID)}); !strings.Contains(got, "password_file: open "+secretsOf(here)+": permission denied") {
		t.Errorf("found %s", got)
	}
}

// sendAs runs the command as somebody and returns what it prints.
func (p *post) sendAs(t *testing.T, as *syscall.Credential) string {
	t.Helper()
	request, err := json.Marshal(deliver.Request{Config: p.program.Config, Message: p.message})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(machine.Sender)
	cmd.Stdin, cmd.Env = bytes.NewReader(request), []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(output)
}
