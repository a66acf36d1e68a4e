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

func (nobody) Load(string) (account.Person, error)   { return account.Person{}, account.ErrNotFound }
func (nobody) Canonical(user string) (string, error) { return user, nil }
func (nobody) InGroup(string, string) (bool, error)  { return false, nil }

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
			if strings.HasSuffix(out, "\x11\x00\x00\x01"+string(rune(verdict))) {
				t.Errorf("%q let somebody in: %q", in, out)
			}
		}
	})
}
