package main

import (
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/sftpdtest"
)

// recordingBroker is a broker whose lines about who comes to no login the test gets.
func recordingBroker(t *testing.T, policy string) (*broker, *[]audit.Record) {
	t.Helper()
	b := testBroker(t, policy)
	var records []audit.Record
	b.limitedLog = audit.NewLimiter(func(r audit.Record) { records = append(records, r) })
	return b, &records
}

// connected is the server's end of a connection whose client waits.
func connected(t *testing.T) *net.TCPConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func unmatched(list uint8, client, theirs string) *fields.Writer {
	return fields.Message(messages.TellUnmatched).U8(list).Text(client).Text(theirs)
}

func TestUnmatched(t *testing.T) {
	for list, want := range map[uint8]string{
		messages.ListKeyExchange: "no common key exchange: the client (SSH-2.0-old) offers a,b, the server mlkem768x25519-sha256,curve25519-sha256",
		messages.ListHostKey:     "no common host key: the client (SSH-2.0-old) offers a,b, the server ssh-ed25519",
		messages.ListCipher:      "no common cipher: the client (SSH-2.0-old) offers a,b, the server aes128-gcm@openssh.com,",
		messages.ListMAC:         "no common MAC: the client (SSH-2.0-old) offers a,b, the server hmac-sha2-256-etm@openssh.com,",
		messages.ListCompression: "no common compression: the client (SSH-2.0-old) offers a,b, the server none",
	} {
		b, records := recordingBroker(t, "")
		c, front := testConnection(t, b)
		say(c, front, sftpdtest.Script(unmatched(list, "SSH-2.0-old", "a,b")))
		if len(*records) != 1 || !strings.HasPrefix((*records)[0].Reason, want) {
			t.Errorf("expected %q, found %+v", want, *records)
			continue
		}
		if r := (*records)[0]; r.Verdict != "turned-away" || r.Rule != "key-exchange" || r.Remote != "192.0.2.1" || r.Service != "otpgate-sftpd" || r.User != "" {
			t.Errorf("%+v", r)
		}
		if in(c) || c.result().Penalty != admission.PenaltyNothing {
			t.Errorf("list %d: %+v", list, c.result())
		}
		var text strings.Builder
		if err := b.metrics.write(&text, 0, 0); err != nil || !strings.Contains(text.String(), `otpgate_sftp_turned_away_total{why="key-exchange"} 1`) {
			t.Errorf("%v in the metrics:\n%s", err, text.String())
		}
	}
}

// What a stranger's connection brings to light, as a front that makes no sense,
// a configuration that became wrong or a file of keys that is not there, is a
// line through the limit, and counted each time.
func TestFaultsBeforeTheLoginAreLimited(t *testing.T) {
	for rule, cause := range map[string]func(b *broker, c *connection, front *seqpacket.Conn){
		"front": func(_ *broker, c *connection, front *seqpacket.Conn) {
			say(c, front, sftpdtest.Script(fields.Message(messages.AskPassword)))
		},
		"sftp.revoked_keys": func(_ *broker, c *connection, front *seqpacket.Conn) {
			say(c, front, sftpdtest.Script(fields.Message(messages.AskOffer).Text(sftpdtest.Anybody).Blob(sftpdtest.PublicKey(ssh.KeyAlgoED25519))))
		},
		"configuration": func(b *broker, _ *connection, _ *seqpacket.Conn) {
			if err := os.WriteFile(b.options.config, []byte("unknown = 1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			b.receive(connected(t))
		},
	} {
		b, records := recordingBroker(t, "[sftp]\nrevoked_keys = \"/nonexistent/revoked\"\n")
		c, front := testConnection(t, b)
		cause(b, c, front)
		if len(*records) != 1 || (*records)[0].Verdict != "fault" || (*records)[0].Rule != rule || (*records)[0].Remote == "" {
			t.Errorf("expected one limited line with rule=%s, found %+v", rule, *records)
		}
		if n := b.metrics.verdicts[[2]string{"fault", rule}]; n != 1 {
			t.Errorf("%s is counted %d times", rule, n)
		}
	}
}

// A client that has gone before a front has it is at its login no more.
func TestClientThatIsGone(t *testing.T) {
	b, records := recordingBroker(t, "")
	conn := connected(t)
	conn.Close()
	if b.receive(conn); len(*records) != 1 || (*records)[0].Rule != "front" || b.admission.Pending() != 0 {
		t.Errorf("%+v, %d are at their login", *records, b.admission.Pending())
	}
}

// A front that somebody has taken over says what it likes, once for each of its
// connections, before any login: its word is cut to size, in characters that
// hurt no log, and it has no say about who connected or what the server offers.
func TestUnmatchedOfAFrontThatLies(t *testing.T) {
	const nasty = "x\nverdict=accepted\x1b[2J\u202e\xff remote=203.0.113.9 \" \x00"
	for name, test := range map[string]struct {
		theirs, want string
	}{
		"control characters": {nasty, `offers x?verdict=accepted?[2J?????remote=203.0.113.9?"??, the server ssh-ed25519`},
		"nothing":            {"", "offers nothing, the server"},
		"one long name":      {strings.Repeat("n", 20000), "offers " + strings.Repeat("n", maxOffer) + ",…, the server"},
		"many names":         {strings.Repeat("ssh-rsa,", 2000), "offers " + strings.TrimSuffix(strings.Repeat("ssh-rsa,", maxOffer/8), ",") + ",…, the server"},
	} {
		b, records := recordingBroker(t, "")
		c, front := testConnection(t, b)
		// What follows is not heard.
		more := unmatched(messages.ListMAC, "again", "again")
		say(c, front, sftpdtest.Script(unmatched(messages.ListHostKey, strings.Repeat(nasty, 100), test.theirs), more, fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text(sftpdtest.RightPassword)))
		if len(*records) != 1 || in(c) || c.login.User() != "" {
			t.Fatalf("%s: %d lines, in %v, user %q", name, len(*records), in(c), c.login.User())
		}
		r := (*records)[0]
		if !strings.Contains(r.Reason, test.want) {
			t.Errorf("%s: expected %q in %q", name, test.want, r.Reason)
		}
		if len(r.Reason) > 512 || strings.ContainsFunc(r.Reason, func(c rune) bool { return c < ' ' || c > '~' && c != '…' }) {
			t.Errorf("%s: %d bytes: %q", name, len(r.Reason), r.Reason)
		}
		if line := r.Line(); !strings.HasPrefix(line, `user="" service=otpgate-sftpd protocol=sftp remote=192.0.2.1 verdict=turned-away rule=key-exchange reason="`) {
			t.Errorf("%s: %s", name, line)
		}
	}
}

// It is the first thing that a front may say, and of a list that there is.
func TestUnmatchedOutOfPlace(t *testing.T) {
	sign := fields.Message(messages.AskSign).Blob(nil)
	for name, build := range map[string]func(b *broker) []byte{
		"no such list":  func(*broker) []byte { return sftpdtest.Script(unmatched(0, "", "")) },
		"a list beyond": func(*broker) []byte { return sftpdtest.Script(unmatched(messages.ListCompression+1, "", "")) },
		"too short": func(*broker) []byte {
			return sftpdtest.Script(fields.Message(messages.TellUnmatched).U8(messages.ListMAC))
		},
		"too long": func(*broker) []byte { return sftpdtest.Script(unmatched(messages.ListMAC, "", "").U8(1)) },
		"after a step": func(*broker) []byte {
			return sftpdtest.Script(fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text("wrong"), unmatched(messages.ListMAC, "", ""))
		},
		"after a signature": func(b *broker) []byte {
			sign = fields.Message(messages.AskSign).Blob(b.keys[0].public).Text("ssh-ed25519").Blob(make([]byte, 32))
			return sftpdtest.Script(sign, unmatched(messages.ListMAC, "", ""))
		},
	} {
		b, records := recordingBroker(t, "")
		c, front := testConnection(t, b)
		if say(c, front, build(b)); len(*records) != 1 || (*records)[0].Rule != "front" {
			t.Errorf("%s: expected the front's fault alone, found %+v", name, *records)
		}
	}
}
