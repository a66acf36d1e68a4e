package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// parts reads a letter as a mail program does: header, and text by type.
func parts(t *testing.T, data []byte) (mail.Header, map[string]string) {
	t.Helper()
	letter, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	texts := map[string]string{}
	media, parameters, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if media != "multipart/alternative" {
		texts[media] = decode(t, letter.Header.Get("Content-Transfer-Encoding"), letter.Body)
		return letter.Header, texts
	}
	reader := multipart.NewReader(letter.Body, parameters["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			return letter.Header, texts
		}
		if err != nil {
			t.Fatal(err)
		}
		media, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		texts[media] = decode(t, part.Header.Get("Content-Transfer-Encoding"), part)
	}
}

func decode(t *testing.T, encoding string, body io.Reader) string {
	t.Helper()
	if encoding != "quoted-printable" {
		t.Fatalf("expected quoted-printable, found %q", encoding)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func letter(t *testing.T, settings string, m deliver.Message) []byte {
	t.Helper()
	parsed, err := config.Parse("f", []byte("[email]\nsmtp = 'smtp://h'\n"+settings))
	if err != nil {
		t.Fatal(err)
	}
	mailer, err := newMailer(parsed.Email)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, mailer, m)
}

func written(t *testing.T, mailer *mailer, m deliver.Message) []byte {
	t.Helper()
	letter, err := mailer.write(m)
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if _, err := letter.WriteTo(&data); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

func TestLetter(t *testing.T) {
	header, texts := parts(t, letter(t, "from = 'One-time codes <otpgate@example.com>'\n", message))
	for name, want := range map[string]string{
		"From": `"One-time codes" <otpgate@example.com>`, "To": "<alice@example.com>", "Subject": "Your code for web1", "Auto-Submitted": "auto-generated",
		"User-Agent": "", "X-Mailer": "", "Cc": "", "Bcc": "",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: expected %q, found %q", name, want, got)
		}
	}
	for _, name := range []string{"Date", "Message-Id"} {
		if len(header[name]) != 1 {
			t.Errorf("expected one %s, found %q", name, header[name])
		}
	}
	expires := message.Expires.Local().Format("15:04:05 MST")
	want := "Your code: 471147\n\nIt is for alice on web1: sshd, coming from 192.0.2.1. It is good\nfor that alone, once, until " + expires + " at the latest.\n"
	if len(texts) != 1 || !strings.HasPrefix(texts["text/plain"], want) {
		t.Errorf("expected %q, found %q", want, texts)
	}
	local := message
	local.Remote = ""
	if _, texts := parts(t, letter(t, "from = 'a@h'\n", local)); !strings.Contains(texts["text/plain"], "coming from the machine itself") {
		t.Errorf("found %q", texts)
	}
}

const every = "{auth_token}|{user}|{service}|{host}|{remote}|{expires}"

// No value leaves its place: neither the subject's line nor HTML's text.
func TestHostileLetter(t *testing.T) {
	m := message
	m.User, m.Service = `</b><script>"&'`, "ssh\r\nBcc: eve@example.com\r\n\r\nbody"
	m.Host, m.Remote = "wéb\x1b[2J\u202e{auth_token}", strings.Repeat("r", 3000)
	m.Code = `<&"'>{user}`
	header, texts := parts(t, letter(t, "from = 'a@h'\nsubject = '"+every+"'\ntext = '"+every+"'\nhtml = '<b>"+every+"</b>'\n", m))
	expires := m.Expires.Local().Format("15:04:05 MST")
	plain := `<&"'>{user}|</b><script>"&'|ssh  Bcc: eve@example.com    body|wéb?[2J?{auth_token}|` + strings.Repeat("r", maxValue) + "…|" + expires
	inHTML := `<b>&lt;&amp;&#34;&#39;&gt;{user}|&lt;/b&gt;&lt;script&gt;&#34;&amp;&#39;|ssh  Bcc: eve@example.com    body|wéb?[2J?{auth_token}|` +
		strings.Repeat("r", maxValue) + "…|" + expires + "</b>"
	subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	if err != nil || subject != plain {
		t.Errorf("subject %q, %v", subject, err)
	}
	if texts["text/plain"] != plain || texts["text/html"] != inHTML || len(texts) != 2 {
		t.Errorf("found %q\nwanted %q\n%q", texts, plain, inHTML)
	}
	if len(header["Bcc"]) > 0 || len(header["To"]) != 1 {
		t.Errorf("found %q", header)
	}
}

// Whatever the login says of itself, the header has the same lines.
func FuzzSubject(f *testing.F) {
	f.Add("ssh\r\nBcc: eve@example.com", "a\n\nb")
	f.Add("=?utf-8?q?=0d=0aBcc:_x?=", "\u2028\u0085")
	parsed, err := config.Parse("f", []byte("[email]\nsmtp = 'smtp://h'\nfrom = 'a@h'\nsubject = 'x {service} {host}'\ntext = '{auth_token}'\n"))
	if err != nil {
		f.Fatal(err)
	}
	mailer, err := newMailer(parsed.Email)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, service, host string) {
		m := message
		m.Service, m.Host = service, host
		written, err := mailer.write(m)
		if err != nil {
			t.Fatal(err)
		}
		var data bytes.Buffer
		if _, err := written.WriteTo(&data); err != nil {
			t.Fatal(err)
		}
		read, err := mail.ReadMessage(&data)
		if err != nil {
			t.Fatalf("%v: %s", err, data.Bytes())
		}
		if len(read.Header) != 9 {
			t.Errorf("%d headers: %q", len(read.Header), read.Header)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
		if err != nil || strings.ContainsFunc(subject, unicode.IsControl) {
			t.Errorf("found %q, %v", subject, err)
		}
	})
}

// spool is a sendmail that keeps what it is given.
func spool(t *testing.T, script string) (path, kept string) {
	t.Helper()
	dir := t.TempDir()
	path, kept = filepath.Join(dir, "sendmail"), filepath.Join(dir, "kept")
	script = "#!/bin/sh\nDIR=" + dir + "\n" + script
	if err := testprogram.Write(path, []byte(script)); err != nil {
		t.Fatal(err)
	}
	return path, kept
}

const keep = "tr '\\0' ' ' </proc/$$/cmdline >$DIR/arguments\ntr '\\0' ' ' </proc/$$/environ >$DIR/environment\ncat >$DIR/kept\n"

func TestSendmail(t *testing.T) {
	path, kept := spool(t, keep)
	link := path + "-link" // as Debian's alternatives are
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s, _ := newSender(t, "[email]\nsendmail = '"+link+"'\nfrom = 'Codes <otpgate@example.com>'\n")
	m := message
	m.Channel = deliver.Email
	got, err := s.Send(context.Background(), m)
	if want := (deliver.Delivery{Channel: deliver.Email, To: "a…e@example.com"}); got != want || err != nil {
		t.Fatalf("found %+v, %v", got, err)
	}
	data, err := os.ReadFile(kept)
	if err != nil || bytes.Contains(data, []byte("\r")) {
		t.Errorf("%v, or lines as sendmail does not want them: %q", err, data)
	}
	if header, texts := parts(t, data); header.Get("To") != "<alice@example.com>" || !strings.Contains(texts["text/plain"], "471147") {
		t.Errorf("found %s", data)
	}
	for name, want := range map[string]string{
		"arguments": "/bin/sh " + link + " -i -t -f otpgate@example.com ", "environment": "PATH=/usr/sbin:/usr/bin:/sbin:/bin ",
	} {
		found, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil || !strings.HasPrefix(string(found), want) || strings.Contains(string(found), message.Code) {
			t.Errorf("%s: expected %q, found %q, %v", name, want, found, err)
		}
	}
}

func TestSendmailFails(t *testing.T) {
	hangs := testprogram.FIFO(t).Name()
	for _, test := range []struct{ name, script, timeout, want string }{
		{"refuses", "cat; echo 'alice@example.com 471147'; exit 69\n", "1m", "exit status 69"},
		{"complains", "echo \"alice@example.com\x07 is unknown\" >&2; exit 67\n", "1m", "exit status 67: a…e@example.com? is unknown"},
		{"floods", "yes alice@example.com 471147 | head -c 10000000; exit 1\n", "1m", "exit status 1: a…e@example.com …"},
		{"hangs", "cat " + hangs + " & cat " + hangs + "\n", "1s", "not done in time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, _ := spool(t, test.script)
			s, _ := newSender(t, "[email]\nsendmail = '"+path+"'\nfrom = 'a@h'\ntimeout = '"+test.timeout+"'\n")
			m := message
			m.Channel = deliver.Email
			_, err := s.Send(context.Background(), m)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatal(err)
			}
			clean(t, err.Error())
		})
	}
}

func TestNewRefuses(t *testing.T) {
	path, _ := spool(t, keep)
	open := filepath.Join(filepath.Dir(path), "open")
	if err := os.WriteFile(open, []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o757); err != nil {
		t.Fatal(err)
	}
	const sms = "[sms]\nurl = 'https://h/{otp_to}/{otp_token}'\n"
	const email = "[email]\nfrom = 'a@h'\n"
	for _, test := range []struct{ text, want string }{
		{email + "sendmail = '/absent'\n", "[email]: sendmail: lstat /absent: no such file or directory; install a mail system, or use smtp"},
		{email + "sendmail = '" + open + "'\n", "expected a program of root's that nobody else can write"},
		{email + "sendmail = '/etc/passwd'\n", "expected a program of root's"},
		{email + "sendmail = '/usr/bin'\n", "expected a program of root's"},
		{email + "smtp = 'smtp://h'\nca_file = '" + file(t, "x") + "'\n", "[email]: ca_file: "},
		{email + "smtp = 'smtp://h'\nusername = 'u'\npassword_file = '" + file(t, "\n") + "'\n", "[email]: password_file: "},
		{email + "smtp = 'smtp://h'\nusername = 'u'\npassword_file = '" + open + "'\n", "mode 0757, expected at most 0700"},
		{sms + "ca_file = '" + file(t, "x") + "'\n", "[sms]: ca_file: "},
		{sms + "username = 'u'\npassword_file = '/absent'\n", "[sms]: password_file: "},
		{sms + "proxy = 'http://p:1'\nproxy_username = 'u'\nproxy_password_file = '/absent'\n", "[sms]: proxy_password_file: "},
	} {
		settings, err := config.Parse("f", []byte(test.text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(settings); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q:\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}

// A text message that fails becomes an email, and the delivery says why.
func TestFallback(t *testing.T) {
	path, kept := spool(t, keep)
	email := "[email]\nsendmail = '" + path + "'\nfrom = 'a@h'\n"
	refuse, _ := spool(t, "exit 75\n")
	broken := "[email]\nsendmail = '" + refuse + "'\nfrom = 'a@h'\n"
	sent := deliver.Delivery{Channel: deliver.Email, To: "a…e@example.com"}
	gateway := twiliotest.New()
	plain, _, _ := serve(t, gateway)
	sms := func() string { return twilio(t, plain, "timeout = '1m'\n") }
	soon := twilio(t, plain, "timeout = '5s'\n") // it must have been asked by then
	for _, test := range []struct {
		name, config string
		answer       twiliotest.Answer
		change       func(m *deliver.Message)
		failed, err  string
	}{
		{"refused", sms() + email, twiliotest.InvalidTo, nil, "Twilio's error 21211: The 'To' number +49…567 is not", ""},
		{"perhaps taken", soon + email, twiliotest.Slow(time.Minute), nil, "may have taken the message", ""},
		{"truncated", sms() + email, twiliotest.Truncated, nil, "may have taken the message", ""},
		{"no gateway", twilio(t, "http://127.0.0.1:1", "") + email, nil, nil, "the gateway cannot be reached", ""},
		{"no number", sms() + email, nil, func(m *deliver.Message) { m.Phone = "" }, "the person has no phone number", ""},
		{"no [sms]", email, nil, nil, "there is no [sms] in the configuration", ""},
		{"no address", sms() + email, twiliotest.InvalidTo, func(m *deliver.Message) { m.Email = "" }, "",
			"send a code by sms: the gateway did not say that it took the message: HTTP status 400, Twilio's error 21211: " +
				"The 'To' number +49…567 is not a valid phone number.; then by email: the person has no email address"},
		{"wrong address", sms() + email, twiliotest.InvalidTo, func(m *deliver.Message) { m.Email = "a@h, b@h" }, "", "then by email: the person's email address is none"},
		{"no [email]", sms(), twiliotest.InvalidTo, nil, "", "then by email: there is no [email] in the configuration"},
		{"both down", sms() + broken, twiliotest.Error(500, 20500, "471147 +491511234567"), nil, "", "HTTP status 500, Twilio's error 20500: … +49…567; then by email: " + refuse + ": exit status 75"},
		{"email alone", sms() + broken, nil, func(m *deliver.Message) { m.Channel = deliver.Email }, "", "send a code by email: " + refuse + ": exit status 75"},
		{"nothing", "", nil, nil, "", "send a code by sms: there is no [sms] in the configuration; then by email: there is no [email]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			gateway.Clear()
			if test.answer != nil {
				gateway.Next(test.answer)
			}
			os.Remove(kept)
			s, _ := newSender(t, test.config)
			m := message
			if test.change != nil {
				test.change(&m)
			}
			got, err := s.Send(context.Background(), m)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || got != (deliver.Delivery{}) {
					t.Fatalf("found  %+v, %v\nwanted %s", got, err, test.err)
				}
				clean(t, err.Error())
				return
			}
			if err != nil || got.Channel != sent.Channel || got.To != sent.To || !strings.Contains(got.Failed, test.failed) {
				t.Errorf("found  %+v, %v\nwanted %s", got, err, test.failed)
			}
			clean(t, fmt.Sprintf("%+v", got))
			if data, err := os.ReadFile(kept); err != nil || !strings.Contains(string(data), message.Code) {
				t.Errorf("no letter: %v %s", err, data)
			}
		})
	}
}

// A new password holds from the next message on.
func TestPasswordIsReadEachTime(t *testing.T) {
	gateway := twiliotest.New()
	plain, _, _ := serve(t, gateway)
	settings := twilio(t, plain, "")
	s, _ := newSender(t, settings)
	if err := os.WriteFile(s.sms.PasswordFile, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := message
	m.Email = ""
	if _, err := s.Send(context.Background(), m); err == nil || !strings.Contains(err.Error(), "Twilio's error 20003") {
		t.Errorf("found %v", err)
	}
	if err := os.Remove(s.sms.PasswordFile); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(context.Background(), m); err == nil || !strings.Contains(err.Error(), "password_file: open") {
		t.Errorf("found %v", err)
	}
}

// Who is no longer waited for is not spoken to any more: the login may end
// before the timeout does.
func TestEmailEndsWithContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	s, _ := newSender(t, "[email]\nsmtp = 'smtp://"+silent.Addr().String()+"'\nstarttls = 'off'\nfrom = 'a@h'\ntimeout = '2m'\n")
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		conn, err := silent.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "220 here\r\n")
		_, _ = conn.Read(make([]byte, 1)) // it waits for an answer now
		cancel()
		<-t.Context().Done()
	}()
	m := message
	m.Channel = deliver.Email
	_, err = s.Send(ctx, m)
	if err == nil || strings.Contains(err.Error(), "not done in time") {
		t.Errorf("%v", err)
	}
}
