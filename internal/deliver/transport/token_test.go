package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/wneessen/go-mail/smtp"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/testprogram"
)

const token = "eyJ0eXAi.OiJKV1Qi-_~+/Lw=="

// bearers is a mail server, with TLS from the start, that takes a token or says why
// it does not, as the mechanisms have it.
type bearers struct {
	url, ca string
	offers  string // after AUTH
	answer  string // of the log in
	// got is what came: the mechanism, what came with it, and the next line.
	got []string
}

// refused is a reason before a refusal.
var refused = "334 " + base64.StdEncoding.EncodeToString([]byte(`{"status":"401","schemes":"bearer","scope":"mail"}`))

func newBearers(t *testing.T, offers, answer string) *bearers {
	t.Helper()
	lent := httptest.NewUnstartedServer(nil) // for its certificate
	lent.StartTLS()
	lent.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: lent.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	b := &bearers{url: "smtps://" + listener.Addr().String(), offers: offers, answer: answer,
		ca: file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: lent.Certificate().Raw})))}
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			b.serve(conn)
		}
	}()
	return b
}

func (b *bearers) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewReader(conn)
	say := func(text string) { _, _ = conn.Write([]byte(text + "\r\n")) }
	say("220 mail")
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch verb, rest, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			say("250-mail\r\n250 AUTH " + b.offers)
		case "AUTH":
			mechanism, response, _ := strings.Cut(rest, " ")
			b.got = append(b.got, mechanism, plain(response))
			say(b.answer)
			if strings.HasPrefix(b.answer, "334") {
				line, _ := lines.ReadString('\n')
				b.got = append(b.got, plain(strings.TrimRight(line, "\r\n")))
				say("535 5.7.3 Authentication unsuccessful")
			}
		case "DATA":
			say("354 go on")
			for line, err := lines.ReadString('\n'); err == nil && line != ".\r\n"; line, err = lines.ReadString('\n') {
				continue
			}
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 yes")
		}
	}
}

func plain(text string) string {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "not base64: " + text
	}
	return string(data)
}

// send sends by the server, with the lines of configuration that say how to log in.
func (b *bearers) send(t *testing.T, login string) error {
	t.Helper()
	s, _ := newSender(t, "[email]\nfrom = 'a@h'\nsmtp = '"+b.url+"'\nca_file = '"+b.ca+"'\nusername = 'codes=x@h,y'\n"+login)
	m := message
	m.Channel = deliver.Email
	_, err := s.Send(context.Background(), m)
	if err != nil {
		clean(t, err.Error())
		if strings.Contains(err.Error(), token) {
			t.Errorf("%v shows the token", err)
		}
	}
	return err
}

// A token logs in by the mechanism that the server offers, the standard's ahead of
// the older one, and never by one for passwords.
func TestTokenLogsIn(t *testing.T) {
	host := func(b *bearers) string {
		_, port, _ := strings.Cut(strings.TrimPrefix(b.url, "smtps://"), ":")
		return "n,a=codes=3Dx@h=2Cy,\x01host=127.0.0.1\x01port=" + port + "\x01auth=Bearer " + token + "\x01\x01"
	}
	old := func(*bearers) string { return "user=codes=x@h,y\x01auth=Bearer " + token + "\x01\x01" }
	for offers, want := range map[string]struct {
		mechanism string
		response  func(*bearers) string
	}{
		"LOGIN XOAUTH2":                               {"XOAUTH2", old},
		"PLAIN XOAUTH2 OAUTHBEARER LOGIN":             {"OAUTHBEARER", host},
		"SCRAM-SHA-256 CRAM-MD5 PLAIN OAUTHBEARER X":  {"OAUTHBEARER", host},
		"SCRAM-SHA-256 OAUTHBEARER-PLUS XOAUTH2 NTLM": {"XOAUTH2", old},
	} {
		for login, text := range map[string]string{
			"file":    "token_file = '" + file(t, token+"\n") + "'\n",
			"command": "token_command = ['" + script(t, "[ \"$1 $2\" = 'a  b' ] && pwd | grep -q ^/$ && echo '"+token+"'") + "', 'a ', 'b']\n",
		} {
			b := newBearers(t, offers, "235 welcome")
			if err := b.send(t, text); err != nil || len(b.got) != 2 || b.got[0] != want.mechanism || b.got[1] != want.response(b) {
				t.Errorf("%s, %s: %v\nfound  %q\nwanted %s %q", offers, login, err, b.got, want.mechanism, want.response(b))
			}
		}
	}
}

// Why a server takes no token is said, and it is given what it waits for.
func TestTokenRefused(t *testing.T) {
	with := "token_file = '" + file(t, token+"\n") + "'\n"
	for _, test := range []struct{ offers, answer, want, next string }{
		{"XOAUTH2", refused, `535 "5.7.3 Authentication unsuccessful"; of the token the server said: {"status":"401","schemes":"bearer","scope":"mail"}`, ""},
		{"OAUTHBEARER", refused, `535 "5.7.3 Authentication unsuccessful"; of the token the server said: {"status":"401","schemes":"bearer","scope":"mail"}`, "\x01"},
		{"XOAUTH2", "535 5.7.3 Authentication unsuccessful", `535 "5.7.3 Authentication unsuccessful"`, "none"},
		{"XOAUTH2", "334 " + base64.StdEncoding.EncodeToString([]byte(token+"\x1b[2J 471147")), "of the token the server said: …", ""},
		{"PLAIN LOGIN", "", "the server offers neither OAUTHBEARER nor XOAUTH2, by which a token logs in, only: PLAIN LOGIN", "none"},
	} {
		b := newBearers(t, test.offers, test.answer)
		err := b.send(t, with)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %s:\nfound  %v\nwanted %s", test.offers, test.answer, err, test.want)
		}
		if next := "none"; len(b.got) == 3 {
			next = b.got[2]
			if next != test.next {
				t.Errorf("%s: expected %q in answer to the reason, found %q", test.offers, test.next, next)
			}
		} else if test.next != next {
			t.Errorf("%s: found %q", test.offers, b.got)
		}
	}
}

// A command that gives no token sends nothing, and the error has its words.
func TestTokenCommandFails(t *testing.T) {
	hangs := testprogram.FIFO(t).Name()
	for _, test := range []struct{ script, timeout, want string }{
		{"echo no such client >&2; exit 3", "1m", "exit status 3; it said: no such client"},
		{"printf 'alice@example.com\\x07' >&2; exit 1", "1m", "it said: a…e@example.com"},
		{"exit 0", "1m", "expected that it prints one line with the token and nothing else"},
		{"echo two words", "1m", "expected that it prints one line with the token"},
		{"echo " + token + "; echo " + token, "1m", "expected that it prints one line with the token"},
		{"echo '{\"error\":\"invalid_client\"}'", "1m", "expected that it prints one line with the token"},
		{"head -c 9000 /dev/zero | tr '\\0' x", "1m", "it printed more than 8192 bytes"},
		{"exec yes", "1m", "it printed more than 8192 bytes"},
		{"cat " + hangs + " & cat " + hangs, "1s", "not done in time, which is 1s at most"},
	} {
		b := newBearers(t, "XOAUTH2", "235 welcome")
		err := b.send(t, "timeout = '"+test.timeout+"'\ntoken_command = ['"+script(t, test.script)+"']\n")
		if err == nil || !strings.Contains(err.Error(), test.want) || len(b.got) > 0 {
			t.Errorf("%s:\nfound  %v, %q\nwanted %s", test.script, err, b.got, test.want)
		}
	}
}

// script is a program of that text.
func script(t *testing.T, text string) string {
	t.Helper()
	path, _ := spool(t, text+"\n")
	return path
}

// What cannot be used is known before somebody waits for a code.
func TestTokenIsLookedAt(t *testing.T) {
	open := script(t, "true")
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ login, want string }{
		{"token_file = '" + file(t, "two words\n") + "'\n", "[email]: token_file: "},
		{"token_file = '" + file(t, "\n") + "'\n", "expected one line with the token and nothing else"},
		{"token_file = '" + open + "'\n", "expected at most 0700"},
		{"token_file = '/absent/token'\n", "[email]: token_file: "},
		{"token_command = ['/absent/token']\n", "[email]: token_command: "},
		{"token_command = ['" + open + "']\n", "[email]: token_command: " + open},
		{"token_command = ['/etc/passwd']\n", "[email]: token_command: /etc/passwd: expected a program"},
	} {
		settings, err := config.Parse("f", []byte("[email]\nfrom = 'a@h'\nsmtp = 'smtp://h'\nusername = 'u'\n"+test.login))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(settings); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\nfound  %v\nwanted %s", test.login, err, test.want)
		}
	}
}

// A token never goes out without TLS, whatever the server offers.
func TestTokenWantsTLS(t *testing.T) {
	_, err := config.Parse("f", []byte("[email]\nfrom = 'a@h'\nsmtp = 'smtp://127.0.0.1'\nstarttls = 'off'\nusername = 'u'\ntoken_file = '/t'\n"))
	if err == nil || !strings.Contains(err.Error(), "email.starttls: without TLS whoever listens could use the token") {
		t.Error(err)
	}
	if _, _, err := (&bearer{username: "u", token: token}).Start(&smtp.ServerInfo{Auth: []string{"XOAUTH2"}}); err == nil {
		t.Error("a token was given to a server without TLS")
	}
}
