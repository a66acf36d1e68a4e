package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// TestMain is also the keeper that startKeeper starts, with PAM left out.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "otpgate-sftpd-login" {
		keep()
		return
	}
	os.Exit(m.Run())
}

// rightPassword is what the keeper takes for right.
const rightPassword = "right"

func keep() {
	conn, err := seqpacket.New(3)
	if err != nil {
		os.Exit(1)
	}
	buffer := make([]byte, seqpacket.MaxSize)
	receive := func() (op uint8, r *seqpacket.Reader) {
		n, _, err := conn.Receive(buffer)
		if err != nil {
			os.Exit(0)
		}
		r = seqpacket.NewReader(buffer[:n])
		return r.U8(), r
	}
	done := func(good bool) {
		var w seqpacket.Writer
		_ = conn.Send(w.U8(messages.PAMDone).Text(map[bool]string{false: "no"}[good]).Bytes)
	}
	for {
		switch op, r := receive(); op {
		case messages.PAMStart, messages.PAMAccount:
			done(true)
		case messages.PAMPassword:
			done(r.Text() == rightPassword)
		case messages.PAMInteractive:
			var w seqpacket.Writer
			_ = conn.Send(w.U8(messages.PAMAsks).U8(messages.AskHidden).Text("Password: ").Bytes)
			_, r := receive()
			given, text := r.Bool(), r.Text()
			done(given && text == rightPassword)
		case messages.PAMOpen:
			done(false) // there is no worker here
		default:
			return
		}
	}
}

// anybody has an account on each machine, and a secret file in the tests.
const anybody = "nobody"

// testBroker has a policy, and no fronts but what a test sends.
func testBroker(tb testing.TB, policy string) *broker {
	tb.Helper()
	dir := tb.TempDir()
	path := filepath.Join(dir, "otpgate.toml")
	text := fmt.Sprintf("[paths]\nusers = %q\nstate = %q\n%s", dir+"/users", dir+"/state", policy)
	secret := fmt.Sprintf("version = 1\nuser = %q\n[[factor]]\nid = \"phone\"\nkind = \"totp\"\nsecret = \"JBSWY3DPEHPK3PXP\"\ndigits = 8\nconfirmed = 2026-11-22T10:00:00Z\n", anybody)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Mkdir(dir+"/users", 0o700),
		os.WriteFile(dir+"/users/"+anybody+".toml", []byte(secret), 0o600)); err != nil {
		tb.Fatal(err)
	}
	metrics := newMetrics()
	b := &broker{options: options{config: path}, pause: func(time.Duration) {}, metrics: metrics, log: recorder{audit.Syslog{Path: dir + "/nobody-listens"}, metrics},
		admission: admission.NewCounter(time.Now), bandwidth: bandwidth{now: time.Now}}
	b.limitedLog = admission.NewLogLimiter(func(audit.Record) {})
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	b.programs = programs{login: self}
	if err := b.load(); err != nil {
		tb.Fatal(err)
	}
	found, err := loadHostKeys([]string{filepath.Join(dir, "ssh_host_ed25519_key")}, true)
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
	line, theirs, err := seqpacket.Pair()
	if err != nil {
		tb.Fatal(err)
	}
	fd, err := unix.Dup(int(theirs.Fd()))
	if err == nil {
		err = theirs.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	ours, err := seqpacket.New(fd)
	if err != nil {
		tb.Fatal(err)
	}
	v := &connection{broker: b, remote: netip.MustParseAddr("192.0.2.1"), engine: engine, settings: engine.Config.SFTP, socket: -1, toFront: line, front: &front{}, keys: b.keys}
	v.grace = time.AfterFunc(time.Minute, v.cut)
	return v, ours
}

// say sends what a front sent, each message behind its length, and reads all
// answers.
func say(v *connection, front *seqpacket.Conn, sent []byte) {
	served := make(chan struct{})
	go func() {
		v.serve(func() {})
		v.end()
		close(served)
	}()
	go func() {
		defer front.Close()
		buffer := make([]byte, messages.MaxSize)
		for r := seqpacket.NewReader(sent); ; {
			message := r.Blob()
			if len(message) == 0 || front.Send(message) != nil {
				return
			}
			if message[0] != messages.AskNote {
				if _, _, err := front.Receive(buffer); err != nil {
					return
				}
			}
		}
	}()
	<-served
}

func script(messages ...*seqpacket.Writer) []byte {
	var w seqpacket.Writer
	for _, m := range messages {
		w.Blob(m.Bytes)
	}
	return w.Bytes
}

func message(op uint8) *seqpacket.Writer { return new(seqpacket.Writer).U8(op) }

// Where no code is wanted the test's keeper lets its password in, by both
// methods: so what follows is about servers that can say yes.
func TestFrontMayBringThePassword(t *testing.T) {
	for name, sent := range map[string][]byte{
		"password":    script(message(messages.AskPassword).Text(anybody).Text(rightPassword)),
		"interactive": script(message(messages.AskInteractive).Text(anybody), message(messages.AskAnswer).Bool(true).Text(rightPassword)),
	} {
		v, front := testConnection(t, testBroker(t, "[policy]\nprotocols = [\"ssh\"]\n"))
		if say(v, front, sent); !v.in {
			t.Errorf("%s: %s is not in", name, anybody)
		}
	}
}

// Whatever a front sends, nobody is in who must give a code and has none; and
// the broker neither falls over nor keeps anything.
func FuzzFront(f *testing.F) {
	b := testBroker(f, "[policy.attempts]\nper_window = 1000\n")
	f.Add(script(message(messages.AskPassword).Text(anybody).Text(rightPassword), message(messages.AskSession)))
	f.Add(script(message(messages.AskInteractive).Text(anybody), message(messages.AskAnswer).Bool(true).Text(rightPassword), message(messages.AskAnswer).Bool(true).Text("123456")))
	f.Add(script(message(messages.AskSign).Blob(b.keys[0].public).Text("ssh-ed25519").Blob([]byte(strings.Repeat("h", 32))),
		message(messages.AskOffer).Text(anybody).Blob([]byte("key")), message(messages.AskProve).Text(anybody).Blob([]byte("key")).Text("a").Blob(nil).Text("f")))
	f.Add(script(message(messages.AskPassword).Text("root").Text(rightPassword), message(messages.AskPassword).Text(anybody).Text("wrong"), message(messages.AskInteractive).Text(anybody)))
	f.Add(script(message(messages.AskNote).U8(1).Text("/etc/passwd"), message(messages.AskBytes).U32(1<<31).Bool(true), message(messages.AskHostKey).Blob([]byte("key"))))
	for _, text := range []string{"", "\x00\x00\x00\x01\x02", "\xff\xff\xff\xff", "\x00\x00\x00\x06\x04\xff\xff\xff\xffx"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		v, front := testConnection(t, b)
		say(v, front, sent)
		switch {
		case v.in || v.worker != nil:
			t.Errorf("%q got in by %q", v.user, sent)
		case v.failures > maxFailures:
			t.Errorf("%d failures in one connection", v.failures)
		}
	})
}
