package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/wire"
)

type log []audit.Record

func (l *log) Write(r audit.Record) { *l = append(*l, r) }

// nobody is a place where nobody is enrolled.
type nobody struct{}

func (nobody) Load(string) (account.Person, error)         { return account.Person{}, account.ErrNotFound }
func (nobody) Canonical(user string) (string, bool, error) { return user, true, nil }
func (nobody) Others(string) ([]string, error)             { return nil, nil }
func (nobody) InGroup(string, string) (bool, error)        { return false, nil }

func opener(settings config.Config, err error) Opener {
	return func(_ wire.Start, sink audit.Sink) (*gate.Gate, string, error) {
		if err != nil {
			return nil, "configuration", err
		}
		return &gate.Gate{Config: settings, Accounts: nobody{}, Ledger: noLedger{}, Names: nobody{}, Audit: sink, Now: time.Now}, "", nil
	}
}

type stream struct {
	io.Reader
	out bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) { return s.out.Write(p) }

func dialogue(t *testing.T, in []byte, open Opener) (out string, records log, err error) {
	t.Helper()
	s := &stream{Reader: bytes.NewReader(in)}
	err = Dialogue(context.Background(), s, open, &records)
	return s.out.String(), records, err
}

func start(t *testing.T, s wire.Start) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := wire.WriteStart(&buffer, s); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func TestOneVerdictEndsEachDialogue(t *testing.T) {
	required := config.Default()
	required.Policy.Require = []config.Selector{config.All}
	alice := wire.Start{User: "alice", Service: "sshd"}
	telnet := alice
	telnet.Protocol = "telnet"
	for _, test := range []struct {
		name    string
		start   wire.Start
		open    Opener
		verdict wire.Verdict
		reason  string
	}{
		{"not enrolled", alice, opener(config.Default(), nil), wire.Ignore, ""},
		{"required", alice, opener(required, nil), wire.Deny, "refuse"},
		{"no user", wire.Start{}, opener(config.Default(), nil), wire.Fault, "empty user name"},
		{"unreadable configuration", alice, opener(config.Config{}, errors.New("otpgate.toml:1: bad")), wire.Fault, "otpgate.toml:1"},
		{"unknown protocol", telnet, opener(config.Default(), nil), wire.Fault, "protocol=telnet: expected a protocol, one of ssh"},
	} {
		out, records, err := dialogue(t, start(t, test.start), test.open)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if end := "\x11\x00\x00\x01" + string(rune(test.verdict)); !strings.HasSuffix(out, end) || strings.Count(out, "\x11\x00\x00\x01") != 1 {
			t.Errorf("%s: sent %q, want it to end with %q", test.name, out, end)
		}
		if len(records) != 1 || !strings.Contains(records[0].Reason, test.reason) {
			t.Errorf("%s: audit %+v", test.name, records)
		}
	}
}

func TestGarbageGetsNoVerdictThatLetsIn(t *testing.T) {
	for _, in := range []string{"", "\x01", "\x11\x00\x00\x01\x01", "\x01\xff\xff\xff", "\x01\x00\x00\x01\x09", "GET / HTTP/1.1\r\n\r\n"} {
		out, records, err := dialogue(t, []byte(in), opener(config.Default(), nil))
		if err == nil || out != "" || len(records) != 0 {
			t.Errorf("%q: sent %q, %v", in, out, err)
		}
	}
}

// enrolled is a place where alice has an app.
type enrolled struct{ nobody }

func (enrolled) Load(name string) (account.Person, error) {
	if name != "alice" {
		return account.Person{}, account.ErrNotFound
	}
	return account.Person{Version: 1, User: name, Enabled: true, Factors: []account.Factor{{
		ID: "phone", Kind: account.TOTP, Secret: account.Secret("secret of alice, 20 bytes"), Digits: 6, Period: 30,
		Algorithm: "SHA1", Confirmed: time.Now(),
	}}}, nil
}

func withAlice(settings config.Config) Opener {
	return func(_ wire.Start, sink audit.Sink) (*gate.Gate, string, error) {
		return &gate.Gate{Config: settings, Accounts: enrolled{}, Ledger: noLedger{}, Names: enrolled{}, Audit: sink, Now: time.Now}, "", nil
	}
}

// A split is answered with prompts for ends of the password alone and one
// verdict, needs no ledger, and is audited if it is a fault.
func TestSplit(t *testing.T) {
	const ask, six = "\x10\x00\x00\x0d\x05\x06\x000123456789", "\x11\x00\x00\x02\x05\x06"
	ignore, fault := "\x11\x00\x00\x01\x02", "\x11\x00\x00\x01\x04"
	alice := wire.Start{User: "alice", Service: "vsftpd", Split: true}
	bob, telnet, off := alice, alice, config.Default()
	bob.User, telnet.Protocol, off.Policy.Protocols = "bob", "telnet", []config.Protocol{"ssh"}
	usual := withAlice(config.Default())
	for name, test := range map[string]struct {
		start wire.Start
		open  Opener
		reply string
		out   string
		rule  string
	}{
		"code":           {alice, usual, "\x02\x00\x00\x07\x01123456", ask + six, ""},
		"no code":        {alice, usual, "\x02\x00\x00\x01\x02", ask + ignore, ""},
		"other digits":   {alice, usual, "\x02\x00\x00\x07\x0112345x", ask + fault, "dialogue"},
		"whole password": {alice, usual, "\x02\x00\x00\x01\x04", ask + fault, "dialogue"},
		"gone":           {alice, usual, "", ask + fault, "dialogue"},
		"not enrolled":   {bob, usual, "", ignore, ""},
		"switched off":   {alice, withAlice(off), "", ignore, ""},
		"protocol":       {telnet, usual, "", fault, "module-argument"},
		"configuration":  {alice, opener(config.Config{}, errors.New("otpgate.toml:1: bad")), "", fault, "configuration"},
	} {
		out, records, err := dialogue(t, append(start(t, test.start), test.reply...), test.open)
		if err != nil || out != test.out {
			t.Errorf("%s: sent %q, %v, want %q", name, out, err, test.out)
		}
		if rule := strings.Join(rules(records), " "); rule != test.rule {
			t.Errorf("%s: audit %+v", name, records)
		}
	}
}

func rules(records log) (rules []string) {
	for _, r := range records {
		rules = append(rules, r.Rule)
	}
	return rules
}

// After a split line the engine knows that there was one.
func TestAfterSplitReachesTheEngine(t *testing.T) {
	in := start(t, wire.Start{User: "alice", Service: "vsftpd", AfterSplit: true})
	open := func(_ wire.Start, sink audit.Sink) (*gate.Gate, string, error) {
		engine, _, _ := withAlice(config.Default())(wire.Start{}, sink)
		engine.Ledger = empty{}
		return engine, "", nil
	}
	// Twice, since the first time may have been a slip of somebody's.
	_, records, _ := dialogue(t, append(in, strings.Repeat("\x02\x00\x00\x01\x04", 2)...), open)
	if len(records) != 1 || !strings.Contains(records[0].Reason, "no code behind the password") {
		t.Errorf("audit %+v", records)
	}
}

func FuzzSplit(f *testing.F) {
	var buffer bytes.Buffer
	if err := wire.WriteStart(&buffer, wire.Start{User: "alice", Service: "vsftpd", Split: true}); err != nil {
		f.Fatal(err)
	}
	opening := buffer.String()
	f.Add([]byte("\x02\x00\x00\x07\x01123456"))
	f.Add([]byte("\x02\x00\x00\x01\x02"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		out, _, err := dialogue(t, append([]byte(opening), reply...), withAlice(config.Default()))
		if err != nil || strings.Count(out, "\x11") != 1 {
			t.Errorf("%q: sent %q, %v", reply, out, err)
		}
		taken := strings.HasSuffix(out, "\x11\x00\x00\x02\x05\x06")
		if form := len(reply) >= 11 && string(reply[:5]) == "\x02\x00\x00\x07\x01" && strings.Trim(string(reply[5:11]), "0123456789") == ""; taken != form {
			t.Errorf("%q: sent %q", reply, out)
		}
	})
}

func FuzzDialogue(f *testing.F) {
	var buffer bytes.Buffer
	if err := wire.WriteStart(&buffer, wire.Start{User: "alice", Service: "sshd"}); err != nil {
		f.Fatal(err)
	}
	f.Add(buffer.Bytes())
	settings := config.Default()
	settings.Policy.Require = []config.Selector{config.All}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, _, _ := dialogue(t, in, opener(settings, nil))
		for _, verdict := range []wire.Verdict{wire.Accept, wire.Ignore} {
			// To a line with split this says that nothing is taken off.
			if s, err := wire.ReadStart(bytes.NewReader(in)); err == nil && s.Split && verdict == wire.Ignore {
				continue
			}
			if strings.HasSuffix(out, "\x11\x00\x00\x01"+string(rune(verdict))) {
				t.Errorf("%q let somebody in: %q", in, out)
			}
		}
	})
}
