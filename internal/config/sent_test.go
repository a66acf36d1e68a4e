package config

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// sending is the example of the documentation.
const sending = `
[sent]
length = 8
alphabet = "ABCDEFGHJKLMNPQR"
ttl = "5m"
resend = 1
per_hour = 10

[email]
smtp = "smtp://mail.example.com"
username = "otpgate"
password_file = "/etc/otpgate/secrets/smtp"
from = "otpgate <otpgate@example.com>"
subject = "A code for {service} on {host}"
text = "{auth_token}"
html = "<style>b {color: red}</style><b>{auth_token}</b>"

[sms]
url = "https://sms.example.com/send/{otp_to}?from={otp_from}"
headers = { Authorization = "Bearer {otp_password}", "Content-Type" = "application/json" }
body = '{"to": "{otp_to}", "n": {}, "text": "Your code: {otp_token}"}'
from = "+15005550006"
password_file = "/etc/otpgate/secrets/sms"
proxy = "http://proxy.example.com:3128"
success = { status = [200, 202], pattern = '{*"state": "queued"*}' }
`

func TestParseSending(t *testing.T) {
	config, err := Parse("f", []byte(sending))
	if err != nil {
		t.Fatal(err)
	}
	if s := config.Sent; s.Length != 8 || s.TTL.Duration != 5*time.Minute || s.Resend != 1 || s.PerHour != 10 {
		t.Errorf("sent: %+v", s)
	}
	server, problem := config.Email.Server()
	if server != (Server{Host: "mail.example.com", Port: 587}) || problem != "" || config.Email.Timeout.Duration != 10*time.Second {
		t.Errorf("email: %+v, %+v %s", config.Email, server, problem)
	}
	if s := config.SMS; s.Kind() != JSONBody || s.Basic() || s.Method != "POST" || s.Timeout.Duration != 10*time.Second {
		t.Errorf("sms: %+v", s)
	}
}

func TestParseSendsNothingByDefault(t *testing.T) {
	config, err := Parse("f", []byte("[sent]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if config.Email != nil || config.SMS != nil || config.Sent != Default().Sent {
		t.Errorf("%+v %+v %+v", config.Email, config.SMS, config.Sent)
	}
}

const sid = "AC0123456789abcdef0123456789abcdef"

func TestParseTwilio(t *testing.T) {
	const start = "[sms]\npreset = 'twilio'\nusername = '" + sid + "'\npassword_file = '/f'\n"
	for _, test := range []struct{ text, url, body string }{
		{"from = '+15005550006'\n", twilioURL, "From={otp_from}"},
		{"from = 'MG0123456789abcdef0123456789abcdef'\n", twilioURL, "MessagingServiceSid={otp_from}"},
		{"from = 'x'\nurl = 'https://api.dublin.ie1.twilio.com/2010-04-01/Accounts/AC1/Messages.json'\n", "https://api.dublin", "From={otp_from}"},
		{"from = 'x'\nbody = 'To={otp_to}&From={otp_from}&Body={otp_token}'\n", twilioURL, "&Body={otp_token}"},
	} {
		config, err := Parse("f", []byte(start+test.text))
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if s := config.SMS; !strings.HasPrefix(s.URL, test.url) || !strings.Contains(s.Body, test.body) || !s.Basic() || s.Kind() != FormBody {
			t.Errorf("%q: %+v", test.text, s)
		}
	}
}

func TestParseRefusesSent(t *testing.T) {
	refuses(t, "[sent]\n", []refusal{
		{"length = 5\n", "f:2: sent.length: expected 6 to 12"},
		{"length = 13\n", "f:2: sent.length: expected 6 to 12"},
		{"alphabet = '012345678'\n", "f:2: sent.alphabet: expected at least 10 different printable characters"},
		{"alphabet = '01234567899'\n", "f:2: sent.alphabet: expected at least 10 different"},
		{"alphabet = '0123456789 '\n", "f:2: sent.alphabet: expected at least 10 different"},
		{"alphabet = '0123456789é'\n", "f:2: sent.alphabet: expected at least 10 different"},
		{"alphabet = \"0123456789\\u0007\"\n", "f:2: sent.alphabet: expected at least 10 different"},
		{"ttl = '59s'\n", `f:2: sent.ttl: expected "1m" to "1h"`},
		{"ttl = '2h'\n", `f:2: sent.ttl: expected "1m" to "1h"`},
		{"resend = 11\n", "f:2: sent.resend: expected 0 to 10"},
		{"resend = -1\n", "f:2: sent.resend: expected 0 to 10"},
		{"per_hour = 0\n", "f:2: sent.per_hour: expected 1 to 1000"},
		{"per_hours = 1\n", "f:2: sent.per_hours: unknown key, expected one of alphabet, length, per_hour, resend, ttl"},
	})
}

type refusal struct{ text, want string }

// refuses expects that each text, after start, is refused for what is wanted.
func refuses(t *testing.T, start string, refusals []refusal) {
	t.Helper()
	for _, test := range refusals {
		_, err := Parse("f", []byte(start+test.text))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q:\n got %v\nwant %s", start+test.text, err, test.want)
		} else if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("the error quotes a value: %v", err)
		}
	}
}

func TestParseRefusesEmail(t *testing.T) {
	refuses(t, "[email]\n", []refusal{
		{"", "f:1: email: expected smtp"},
		{"from = 'a@example.com'\n", "f:1: email: expected smtp"},
		{"smtp = 'smtp://h'\n", "f:1: email.from: expected the sender's address"},
		{"smtp = 'smtp://h'\nsendmail = '/usr/sbin/sendmail'\n", "f:3: email.sendmail: expected smtp or sendmail, not both"},
		{"sendmail = 'sendmail'\n", "f:2: email.sendmail: expected an absolute path"},
		{"sendmail = '/s'\nusername = 'u'\npassword_file = '/p'\n", "f:2: email.sendmail: username, password_file, token_file, token_command and ca_file are for smtp"},
		{"sendmail = '/s'\ntoken_command = ['/c']\n", "f:2: email.sendmail: username, password_file, token_file, token_command and ca_file are for smtp"},
		{"sendmail = '/s'\nstarttls = 'off'\n", "f:3: email.starttls: expected no such line"},
		{"sendmail = '/s'\nSMTP = 'x'\n", "f:3: email.SMTP: unknown key"},
	})
	for _, server := range []string{"h", "https://h", "smtp:h", "smtp://", "smtp://:25", "smtp://h:", "smtp://h:0", "smtp://h:65536",
		"smtp://u:SECRET@h", "smtp://h/", "smtp://h/p", "smtp://h?SECRET", "smtp://h#f", "smtp://h h", "smtp://h,g", "smtp://{host}", "SMTP ://h"} {
		refuses(t, "[email]\nfrom = 'a@example.com'\n", []refusal{{"smtp = '" + server + "'\n", `f:3: email.smtp: expected "smtp://host:587" or "smtps://host:465"`}})
	}
	refuses(t, "[email]\nsmtp = 'smtp://127.0.0.1'\nfrom = 'a@example.com'\n", []refusal{
		{"starttls = 'no'\n", `f:4: email.starttls: expected "required" or "off"`},
		{"username = 'u'\n", "f:4: email.username: expected username together with password_file, token_file or token_command"},
		{"password_file = '/p'\n", "f:1: email.username: expected username together with password_file, token_file or token_command"},
		{"token_file = '/t'\n", "f:1: email.username: expected username together with"},
		{"token_command = ['/c']\n", "f:1: email.username: expected username together with"},
		{"username = 'u'\npassword_file = '/p'\ntoken_file = '/t'\n", "f:4: email.username: expected one of password_file, token_file and token_command"},
		{"username = 'u'\ntoken_file = '/t'\ntoken_command = ['/c']\n", "f:4: email.username: expected one of password_file, token_file and token_command"},
		{"username = 'u'\ntoken_file = 't'\n", "f:5: email.token_file: expected an absolute path"},
		{"username = 'u'\ntoken_command = []\n", "f:5: email.token_command: expected a list of a program's absolute path and its arguments"},
		{"username = 'u'\ntoken_command = ['c']\n", "f:5: email.token_command: expected a list of a program's absolute path"},
		{"username = 'u'\ntoken_command = [\"/c\", \"a\\nb\"]\n", "f:5: email.token_command: expected a list of a program's absolute path"},
		{"username = 'u'\ntoken_command = '/c'\n", "f:5: email.token_command: "},
		{"starttls = 'off'\nusername = 'u'\ntoken_file = '/t'\n", "f:4: email.starttls: without TLS whoever listens could use the token"},
		{"username = 'u'\npassword_file = 'p'\n", "f:5: email.password_file: expected an absolute path"},
		{"username = \"u\\r\\nDATA\"\npassword_file = '/p'\n", "f:4: email.username: expected no control characters"},
		{"ca_file = 'p'\n", "f:4: email.ca_file: expected an absolute path"},
		{"timeout = '0s'\n", `f:4: email.timeout: expected "1s" to "2m"`},
		{"timeout = 10\n", "f:4: email.timeout: expected a number and a unit"},
		{"subject = ''\n", "f:4: email.subject: expected one line of text"},
		{"subject = \"a\\nBcc: b@example.com\"\n", "f:4: email.subject: expected one line of text"},
		{"subject = '{hots}'\n", "f:4: email.subject: {hots} is not known here, expected one of {auth_token}, {user}"},
		{"text = ''\n", "f:4: email.text: expected {auth_token} in it"},
		{"text = '{auth_tokn}'\n", "f:4: email.text: {auth_tokn} is not known here"},
		{"text = '{otp_token}'\n", "f:4: email.text: {otp_token} is not known here"},
		{"text = \"{auth_token}\\u0000\"\n", "f:4: email.text: expected no control characters"},
		{"html = '<b>{auth-token}</b>'\n", "f:4: email.html: {auth-token} is not known here"},
		{"html = '<b></b>'\n", "f:4: email.html: expected {auth_token} in it"},
	})
	for _, from := range []string{"", "a", "a@", "@h", "a b@h", "a@h, b@h", "a@h\\r\\nBcc: b@h", "n\\n <a@h>", "<a@h", "n <a@h> x", "n, m <a@h>", "-f@h", "a..b@h", "a@h h", "ä@h"} {
		refuses(t, "[email]\nsmtp = 'smtp://h'\n", []refusal{{"from = \"" + from + "\"\n", "f:3: email.from: expected the sender's address"}})
	}
	refuses(t, "[email]\nfrom = 'a@example.com'\n", []refusal{
		{"smtp = 'smtps://127.0.0.1'\nstarttls = 'off'\n", "f:4: email.starttls: expected no such line"},
		{"smtp = 'smtps://h'\nstarttls = 'required'\n", "f:4: email.starttls: expected no such line"},
		{"smtp = 'smtp://localhost'\nstarttls = 'off'\n", "f:4: email.starttls: without TLS everybody"},
		{"smtp = 'smtp://10.0.0.1'\nstarttls = 'off'\n", "f:4: email.starttls: without TLS everybody"},
	})
}

func TestParseTakesEmail(t *testing.T) {
	for _, text := range []string{
		"smtp = 'smtp://127.0.0.1:25'\nstarttls = 'off'\n",
		"smtp = 'smtp://[::1]'\nstarttls = 'off'\n",
		"smtp = 'smtps://[2001:db8::1]:465'\n",
		"smtp = 'smtp://mail'\nstarttls = 'required'\n",
		"sendmail = '/usr/sbin/sendmail'\n",
		"smtp = 'smtp://smtp.office365.com:587'\nusername = 'codes@example.com'\ntoken_file = '/etc/otpgate/secrets/token'\n",
		"smtp = 'smtps://mail'\nusername = 'codes@example.com'\ntoken_command = ['/usr/local/sbin/mail-token', 'codes']\n",
	} {
		if _, err := Parse("f", []byte("[email]\nfrom = 'One-time codes <a.b+c@example.com>'\n"+text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// refusedSMS are slips in the table sms, and what is said of them.
var refusedSMS = []refusal{
	{"headers = { X = \"a\\r\\nB: c\" }\n", "f:4: sms.headers.X: expected one line of printable ASCII"},
	{"headers = { X = 'ä' }\n", "f:4: sms.headers.X: expected one line of printable ASCII"},
	{"headers = { X = '' }\n", "f:4: sms.headers.X: expected one line of printable ASCII"},
	{"headers = { X = '{otp_tokn}' }\n", "f:4: sms.headers.X: {otp_tokn} is not known here"},
	{"headers = { \"X Y\" = 'a' }\n", "f:4: sms.headers.X Y: expected a header's name"},
	{"headers = { \"X\\r\\nY\" = 'a' }\n", "f:4: sms.headers."},
	{"headers = { Host = 'a' }\n", "f:4: sms.headers.Host: this header is not for the configuration"},
	{"headers = { X-a = 'a', x-A = 'b' }\n", "f:4: sms.headers.x-A: expected each header once"},
	{"headers = { Authorization = 'Bearer SECRET' }\n", "f:4: sms.headers.Authorization: expected {otp_password} in it"},
	{"headers = { Authorization = 'Bearer {otp_password}' }\n", "f:1: sms.password_file: expected this key"},
	{"username = 'u'\n", "f:4: sms.username: expected username and password_file together"},
	{"password_file = '/p'\n", "f:1: sms.username: expected username and password_file together"},
	{"username = 'u:v'\npassword_file = '/p'\n", "f:4: sms.username: expected neither control characters nor a colon"},
	{"username = 'u'\npassword_file = '/p'\nheaders = { X = '{otp_password}' }\n", "f:4: sms.username: nothing uses this key"},
	{"username = 'u'\npassword_file = 'p'\n", "f:5: sms.password_file: expected an absolute path"},
	{"headers = { X = '{otp_from}' }\n", "f:1: sms.from: expected this key"},
	{"headers = { X = '{otp_username}' }\n", "f:1: sms.username: expected this key"},
	{"from = \"a\\nb\"\n", "f:4: sms.from: expected no control characters"},
	{"ca_file = 'p'\n", "f:4: sms.ca_file: expected an absolute path"},
	{"timeout = '3m'\n", `f:4: sms.timeout: expected "1s" to "2m"`},
	{"success = { status = [] }\n", "f:4: sms.success.status: expected codes of 200 to 299"},
	{"success = { status = [200, 302] }\n", "f:4: sms.success.status: expected codes of 200 to 299"},
	{"success = { status = 200 }\n", "f:4: sms.success.status: expected a list of whole numbers"},
	{"success = { pattern = '**' }\n", "f:4: sms.success.pattern: expected up to 500 characters"},
	{"success = { pattern = \"OK\\n\" }\n", "f:4: sms.success.pattern: expected up to 500 characters"},
	{"success = { patern = 'OK' }\n", "f:4: sms.success.patern: unknown key, expected one of pattern, status"},
	{"proxy = 'proxy:3128'\n", `f:4: sms.proxy: expected "http://host:port"`},
	{"proxy = 'socks5://proxy:3128'\n", `f:4: sms.proxy: expected "http://host:port"`},
	{"proxy = 'http://proxy'\n", `f:4: sms.proxy: expected "http://host:port"`},
	{"proxy = 'http://u:SECRET@proxy:1'\n", `f:4: sms.proxy: expected "http://host:port" or "https://host:port"; a name`},
	{"proxy_username = 'u'\n", `f:1: sms.proxy: expected "http://host:port"`},
	{"proxy = 'http://p:1'\nproxy_username = 'u'\n", "f:5: sms.proxy_username: expected proxy_username and proxy_password_file together"},
}

func TestParseRefusesSMS(t *testing.T) {
	refuses(t, "[sms]\n", []refusal{
		{"", `f:1: sms.url: expected "https://host/…"`},
		{"preset = 'twillio'\n", `f:2: sms.preset: expected "twilio"`},
		{"preset = 'twilio'\n", `f:1: sms.username: expected the account's SID`},
		{"preset = 'twilio'\nusername = 'AC1'\n", `f:3: sms.username: expected the account's SID`},
		{"preset = 'twilio'\nusername = '" + sid + "'\n", `f:1: sms.password_file: expected a file with the account's auth token`},
		{"preset = 'twilio'\nusername = '" + sid + "'\npassword_file = '/p'\n", `f:1: sms.from: expected one of the account's numbers`},
	})
	for _, url := range []string{"", "h", "ftp://h/", "https:///p", "https://h h/", "https://h/a b", "https://{otp_to}/", "https://h{otp_to}/",
		"https://h:{otp_to}/", "{otp_to}://h/", "https://{otp_to}@h/", "https://u:SECRET@h/", "https://h/#{otp_to}", "https://h/é", "https://h/%zz",
		"http://h/", "http://localhost/", "http://10.0.0.1/", "HTTPS://h/"} {
		refuses(t, "[sms]\nbody = 't={otp_to}{otp_token}'\n", []refusal{{"url = '" + url + "'\n", `f:3: sms.url: expected "https://host/…"`}})
	}
	refuses(t, "[sms]\nurl = 'https://h/{otp_to}'\n", []refusal{
		{"body = 'text={otp_tokn}'\n", "f:3: sms.body: {otp_tokn} is not known here, expected one of {otp_token}, {otp_to}"},
		{"body = 'text={auth_token}'\n", "f:3: sms.body: {auth_token} is not known here"},
		{"body = 'text={otp_token'\n", "f:3: sms.body: expected {otp_token}, with one brace"},
		{"body = 'text=x'\n", "f:1: sms: expected {otp_token} in url, body or headers"},
		{"body = 'text=your code: {otp_token}'\n", "f:3: sms.body: expected a form"},
		{"body = 'text=50%{otp_token}'\n", "f:3: sms.body: expected a form"},
		{"body = '<a>{otp_token}</a>'\n", "f:3: sms.body: expected a form"},
		{"body = '{\"t\":\"{otp_token}\"}'\n", "f:3: sms.body: expected a form"},
		{"body = '{\"t\":{otp_token}}'\nheaders = { Content-Type = 'application/json' }\n", "f:3: sms.body: expected JSON"},
		{"body = '{\"t\":\"{otp_tokn}\"}'\nheaders = { Content-Type = 'application/json' }\n", "f:3: sms.body: {otp_tokn} is not known here"},
		{"body = '{\"t\":\"{otp_token}\"'\nheaders = { content-type = 'application/vnd.x+json; charset=utf-8' }\n", "f:3: sms.body: expected JSON"},
		{"body = '{otp_token}'\nheaders = { Content-Type = 'image/png' }\n", "f:4: sms.headers.Content-Type: expected the type of a form"},
		{"body = \"t={otp_token}\\u0001\"\n", "f:3: sms.body: expected no control characters"},
		{"body = 't={otp_token}'\nmethod = 'GET'\n", `f:3: sms.body: expected no body with method = "GET"`},
		{"body = 't={otp_token}'\nmethod = 'post'\n", `f:4: sms.method: expected "POST", "PUT" or "GET"`},
	})
	refuses(t, "[sms]\nurl = 'https://h/{otp_to}'\nbody = 't={otp_token}'\n", refusedSMS)
	refuses(t, "[sms]\nurl = 'http://127.0.0.1/{otp_to}/{otp_token}'\n", []refusal{
		{"proxy = 'http://127.0.0.1:3128'\n", "f:3: sms.proxy: expected no proxy for http://"},
	})
}

func TestSuccess(t *testing.T) {
	for _, test := range []struct {
		success Success
		status  int
		text    string
		want    bool
	}{
		{Success{}, 200, "", true},
		{Success{}, 204, "x", true},
		{Success{}, 302, "", false},
		{Success{}, 0, "", false},
		{Success{Status: []int{201}}, 200, "", false},
		{Success{Status: []int{201}}, 201, "", true},
		{Success{Pattern: "OK"}, 200, "OK\r\n", true},
		{Success{Pattern: "OK"}, 200, "NOT OK", false},
		{Success{Pattern: "OK"}, 400, "OK", false},
		{Success{Pattern: "OK*"}, 200, "OK: 17", true},
		{Success{Pattern: "*OK"}, 200, "it is OK", true},
		{Success{Pattern: "*OK*"}, 200, "not OK at all", true},
		{Success{Pattern: "*a*b*"}, 200, "b a", false},
		{Success{Pattern: "ab*ba"}, 200, "aba", false},
		{Success{Pattern: "ab*ba"}, 200, "abba", true},
		{Success{Pattern: "a*a*a"}, 200, "aa", false},
		{Success{Pattern: `{*"sid"*}`}, 201, `{"sid": "SM1"` + "\n}", true},
		{Success{Pattern: `{*"sid"*}`}, 201, `{"sid": "SM1"`, false},
	} {
		if got := test.success.Match(test.status, test.text); got != test.want {
			t.Errorf("%+v, %d %q: found %v", test.success, test.status, test.text, got)
		}
	}
}

// again runs the calling test in a new process with this variable set.
func again(t *testing.T, variable string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable)
	if output, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, output)
	}
}

// What the documentation shows is taken.
func TestParseTakesDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/sent-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(text), "```toml\n")[1:]
	for _, example := range examples {
		example, _, _ = strings.Cut(example, "```")
		example = strings.ReplaceAll(example, `"AC…"`, `"`+sid+`"`)
		if _, err := Parse("f", []byte(example)); err != nil {
			t.Errorf("%v\n%s", err, example)
		}
	}
	if len(examples) < 4 {
		t.Errorf("found only %d examples", len(examples))
	}
}
