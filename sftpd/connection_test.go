package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
	"github.com/otpgate/otpgate/internal/sftpd/sftpdtest"
	"github.com/otpgate/otpgate/internal/testwait"
)

func TestMain(m *testing.M) { sftpdtest.Main(m) }

// testBroker has a policy, and no fronts but what a test sends.
func testBroker(tb testing.TB, policy string) *broker {
	tb.Helper()
	path := sftpdtest.Config(tb, policy)
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	b := assemble(options{config: path}, programs{login: self}, audit.Syslog{Path: path + "/nobody-listens"})
	b.authenticator.Pause = func(time.Duration) {}
	b.limitedLog = audit.NewLimiter(func(audit.Record) {})
	if err := b.load(); err != nil {
		tb.Fatal(err)
	}
	found, err := loadHostKeys([]string{filepath.Join(filepath.Dir(path), "ssh_host_ed25519_key")}, true)
	if err != nil {
		tb.Fatal(err)
	}
	b.keys = found.keys
	return b
}

// testConnection is a connection whose front is the test.
func testConnection(tb testing.TB, b *broker) (*connection, *seqpacket.Conn) {
	tb.Helper()
	engine, err := b.current()
	if err != nil {
		tb.Fatal(err)
	}
	ours, front := seqpackettest.Pair(tb)
	c := &connection{broker: b, remote: netip.MustParseAddr("192.0.2.1"), settings: engine.Config.SFTP, socket: -1, keys: b.keys}
	c.begin(engine, ours)
	return c, front
}

// say has the front send a script.
func say(c *connection, front *seqpacket.Conn, sent []byte) {
	go sftpdtest.Send(front, sent)
	c.serve(func() {})
	c.end()
}

// in says whether the person is in.
func in(c *connection) bool { return c.login.Entered() != nil }

// noCodes is a policy that wants none.
const noCodes = "[policy]\nprotocols = [\"ssh\"]\n"

// Where no code is wanted the test's login process lets its password in, by both
// methods: so what follows is about servers that can say yes.
func TestFrontMayBringThePassword(t *testing.T) {
	for name, sent := range map[string][]byte{
		"password":    sftpdtest.Script(fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text(sftpdtest.RightPassword)),
		"interactive": sftpdtest.Script(fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody), fields.Message(messages.AskAnswer).Bool(true).Text(sftpdtest.RightPassword)),
	} {
		c, front := testConnection(t, testBroker(t, noCodes))
		if say(c, front, sent); !in(c) {
			t.Errorf("%s: %s is not in", name, sftpdtest.Anybody)
		}
	}
}

// Whatever a front sends, nobody is in who must give a code and has none; and
// the broker neither falls over nor keeps anything.
func FuzzFront(f *testing.F) {
	b := testBroker(f, "[policy.attempts]\nper_window = 1000\n")
	f.Add(sftpdtest.Script(fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text(sftpdtest.RightPassword), fields.Message(messages.AskSession)))
	f.Add(sftpdtest.Script(fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody), fields.Message(messages.AskAnswer).Bool(true).Text(sftpdtest.RightPassword), fields.Message(messages.AskAnswer).Bool(true).Text("123456")))
	f.Add(sftpdtest.Script(fields.Message(messages.AskSign).Blob(b.keys[0].public).Text("ssh-ed25519").Blob([]byte(strings.Repeat("h", 32))),
		fields.Message(messages.AskOffer).Text(sftpdtest.Anybody).Blob([]byte("key")), fields.Message(messages.AskProve).Text(sftpdtest.Anybody).Blob([]byte("key")).Text("a").Blob(nil).Text("f")))
	f.Add(sftpdtest.Script(fields.Message(messages.AskPassword).Text("root").Text(sftpdtest.RightPassword), fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text("wrong"), fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody)))
	f.Add(sftpdtest.Script(fields.Message(messages.TellOperations).U8(1).Text("/etc/passwd"), fields.Message(messages.AskBytes).U32(1<<31).Bool(true), fields.Message(messages.AskHostKey).Blob([]byte("key"))))
	for _, text := range []string{"", "\x00\x00\x00\x01\x02", "\xff\xff\xff\xff", "\x00\x00\x00\x06\x04\xff\xff\xff\xffx"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		c, front := testConnection(t, b)
		say(c, front, sent)
		switch {
		case in(c):
			t.Errorf("%q got in by %q", c.login.User(), sent)
		case c.login.Failures() > 6:
			t.Errorf("%d failures in one connection", c.login.Failures())
		}
	})
}

// A connection in which keys are offered that let nobody in is penalized as one
// that names nobody: offering costs a stranger nothing, and the server a look at
// files and a program. One that failed otherwise is penalized for that alone.
func TestOffersThatComeToNothing(t *testing.T) {
	for name, test := range map[string]struct {
		sent []byte
		want admission.Result
	}{
		"nobody": {sftpdtest.Script(fields.Message(messages.AskPassword)), admission.Result{Penalty: admission.PenaltyNothing}},
		"a key":  {sftpdtest.Script(fields.Message(messages.AskOffer).Text(sftpdtest.Anybody).Blob(sftpdtest.PublicKey(ssh.KeyAlgoED25519))), admission.Result{Penalty: admission.PenaltyNothing}},
		"a key and a password": {sftpdtest.Script(fields.Message(messages.AskOffer).Text(sftpdtest.Anybody).Blob(sftpdtest.PublicKey(ssh.KeyAlgoED25519)),
			fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text("wrong")), admission.Result{Penalty: admission.PenaltyFailed}},
		"left at the question": {sftpdtest.Script(fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody)), admission.Result{Penalty: admission.PenaltyNothing}},
	} {
		c, front := testConnection(t, testBroker(t, ""))
		if say(c, front, test.sent); c.result() != test.want {
			t.Errorf("%s: expected %+v, found %+v", name, test.want, c.result())
		}
	}
}

// A login is late by the client's fault, or by that of a module that waits for a
// directory: else all addresses would be turned away once it answers again. The delay
// by which PAM refuses a password is no such wait, or whoever has it run into the end of
// the login's time could guess on and on.
func TestLatePenalty(t *testing.T) {
	hangs := fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text(sftpdtest.HangingPassword)
	for name, test := range map[string]struct {
		ask   *fields.Writer
		pam   bool
		waits time.Duration // of the two minutes
		want  time.Duration
	}{
		"PAM waits":        {hangs, true, 61 * time.Second, 0},
		"PAM delays no":    {hangs, true, 10 * time.Second, admission.PenaltyGrace + admission.PenaltyFailed},
		"the client waits": {fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody), false, 61 * time.Second, admission.PenaltyGrace},
	} {
		b := testBroker(t, noCodes)
		b.now = func() time.Time { return time.Now().Add(test.waits) }
		c, front := testConnection(t, b)
		if err := front.Send(test.ask.Bytes); err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			c.serve(func() {})
			c.end()
		}()
		if test.pam {
			testwait.Until(t, "PAM is waited for", func() bool { return c.login.AwaitsPAM(b.now()) > 0 })
		} else if _, _, err := front.Receive(make([]byte, messages.MaxSize)); err != nil { // the question
			t.Fatal(err)
		}
		c.late()
		if err := front.Close(); err != nil {
			t.Fatal(err)
		}
		<-served
		if found := c.result(); found.Penalty != test.want {
			t.Errorf("%s: expected %v, found %+v", name, test.want, found)
		}
	}
}
