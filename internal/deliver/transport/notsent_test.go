package transport

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// answering is a mail server without TLS that answers with its usual lines, but to one verb
// with that line, and with "" by ending the connection. What ends a message is the verb ".".
func answering(t *testing.T, verb, answer string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		lines := bufio.NewReader(conn)
		_, _ = conn.Write([]byte("220 mail\r\n"))
		for inMessage := false; ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			said, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if inMessage && said != "." {
				continue
			}
			say := "250 yes"
			if said == "DATA" {
				say = "354 go on"
			}
			if said == verb {
				if say = answer; say == "" {
					return
				}
			}
			inMessage = strings.HasPrefix(say, "354")
			_, _ = conn.Write([]byte(say + "\r\n"))
		}
	}()
	return "smtp://" + listener.Addr().String()
}

// Whoever counts messages is told which of those that failed nobody has for certain: not one
// that a server had as a whole and then fell silent, nor one that sendmail may have kept.
func TestNotSent(t *testing.T) {
	hangs := testprogram.FIFO(t).Name()
	smtp := func(verb, answer string) string {
		return "smtp = '" + answering(t, verb, answer) + "'\nstarttls = 'off'\n"
	}
	sendmail := func(script string) string {
		path, _ := spool(t, script)
		return "sendmail = '" + path + "'\n"
	}
	for name, test := range map[string]struct {
		how   string
		known bool
	}{
		"nobody listens":      {"smtp = 'smtp://127.0.0.1:1'\nstarttls = 'off'\n", true},
		"no greeting":         {smtp("EHLO", ""), true},
		"sender refused":      {smtp("MAIL", "550 no"), true},
		"recipient refused":   {smtp("RCPT", "550 no such user"), true},
		"gone before it":      {smtp("DATA", ""), true},
		"message refused":     {smtp(".", "554 spam"), true},
		"message put off":     {smtp(".", "451 later"), true},
		"gone after it":       {smtp(".", ""), false},
		"nonsense after it":   {smtp(".", "250"[:2]), false},
		"sendmail refuses":    {sendmail("cat; exit 69\n"), true},
		"sendmail queues":     {sendmail("cat; exit 75\n"), false},
		"sendmail is killed":  {sendmail("cat; kill -9 $$\n"), false},
		"sendmail hangs":      {sendmail("cat "+hangs+"\n") + "timeout = '1s'\n", false},
		"sendmail is no such": {"sendmail = '/absent'\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := config.Parse("f", []byte("[email]\nfrom = 'a@h'\n"+test.how))
			if err != nil {
				t.Fatal(err)
			}
			s := &sender{email: settings.Email}
			m := message
			m.Channel = deliver.Email
			_, err = s.Send(context.Background(), m)
			if err == nil || errors.Is(err, deliver.ErrNotSent) != test.known {
				t.Errorf("%v, known %v, expected %v", err, errors.Is(err, deliver.ErrNotSent), test.known)
			}
		})
	}
}
