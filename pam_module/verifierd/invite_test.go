package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// deafMail is a mail server that hangs up, and counts who came.
type deafMail struct {
	text  string // of a configuration
	calls atomic.Int32
}

func newDeafMail(t *testing.T) *deafMail {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	m := &deafMail{}
	go daemon.Accept(listener, func(conn net.Conn) { m.calls.Add(1); _ = conn.Close() }, func(string) {})
	m.text = fmt.Sprintf("[policy]\nrequire = [\"@all\"]\nunenrolled = \"invite\"\n[portal]\nurl = 'https://otp.example.com'\n"+
		"[email]\nsmtp = 'smtp://%s'\nfrom = 'otp@example.com'\nstarttls = \"off\"\n[verifier]\nallow = [\"daemon\"]\n", listener.Addr())
	return m
}

// hasAddress gives somebody a secret file with an address and no device.
func (p *installation) hasAddress(t *testing.T, name string) {
	t.Helper()
	text := fmt.Sprintf("version = 1\nuser = %q\nemail = \"%s@example.com\"\n", name, name)
	if err := os.WriteFile(filepath.Join(p.users, name+".toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Who has shown no password has nobody sent a link: not a server that asks for anybody,
// which may have been taken over, and not a program of the person's own.
func TestLinksAreForLoginsOfRootsPrograms(t *testing.T) {
	mail := newDeafMail(t)
	r := newRig(t, mail.text, unhurried)
	r.hasAddress(t, "alice")
	for _, row := range []struct {
		uid     int
		verdict wire.Verdict
		calls   int32
		rule    string
	}{{daemonUID, wire.Deny, 0, "refuse: "}, {alicesUID, wire.Deny, 0, "refuse: "}, {rootUID, wire.Fault, 1, "the link could not be mailed"}} {
		verdict, told, err := dialAs(t, row.uid, r.socket).login(r.start("alice"))
		if err != nil || verdict != row.verdict || (mail.calls.Load() > 0) != (row.calls > 0) {
			t.Errorf("uid %d: %v, %q, %v, %d mails", row.uid, verdict, told, err, mail.calls.Load())
		}
		lines := r.log.take(t, 1+int(row.calls))
		if last := lines[len(lines)-1]; last.Rule != "policy.unenrolled" || !strings.Contains(last.Reason, row.rule) {
			t.Errorf("uid %d: %+v", row.uid, last)
		}
	}
}

// On a client links go out where codes may, whether people may enroll at its logins or not.
func TestLinksForClients(t *testing.T) {
	for name, row := range map[string]struct {
		send, enroll bool
		program      remotewire.Program
		mails        bool
	}{
		"it may send":          {true, false, remotewire.RootProgram, true},
		"it may send no codes": {false, true, remotewire.RootProgram, false},
		"a server of its":      {true, true, remotewire.AllowedProgram, false},
	} {
		mail := newDeafMail(t)
		r := newServerRig(t, mail.text, func(client *clients.Client) { client.Send, client.Enroll = row.send, row.enroll })
		r.hasAddress(t, "alice")
		outcome, person := r.remotely(t, by("alice", row.program))
		if (outcome.Verdict == wire.Fault) != row.mails || (mail.calls.Load() > 0) != row.mails || strings.Contains(person.told, "could not be mailed") != row.mails {
			t.Errorf("%s: %+v, told %q, %d mails", name, outcome, person.told, mail.calls.Load())
		}
		if outcome.Rule != "policy.unenrolled" {
			t.Errorf("%s: %+v", name, outcome)
		}
	}
}
