package audit

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLineIsOneLine(t *testing.T) {
	record := Record{
		User: "eve\nuser=root verdict=accepted", Service: "sshd", Remote: "10.0.0.1\x1b[2J", Verdict: "denied",
		Rule: "code", Reason: `say "hi"` + strings.Repeat("x", 5000),
	}
	line := record.Line()
	if strings.ContainsAny(line, "\n\r\x1b") {
		t.Errorf("control characters in %q", line)
	}
	if !strings.HasPrefix(line, `user="eve\nuser=root verdict=accepted" service=sshd remote="10.0.0.1\x1b[2J" verdict=denied rule=code reason="say \"hi\"`) {
		t.Errorf("%s", line)
	}
	if len(line) > 1000 {
		t.Errorf("%d bytes", len(line))
	}
	if got := (Record{User: "b", Reason: "to b…e@\u202e\xe2\x80"}).Line(); got != `user=b reason="to b…e@\u202e\xe2\x80"` {
		t.Errorf("%s", got)
	}
	if got := (Record{Verdict: "denied"}).Line(); got != `user="" verdict=denied` {
		t.Errorf("%s", got)
	}
}

func TestSyslogSendsAuthpriv(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sink := Syslog{Path: path, Now: func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }}
	if got := (Record{Verdict: "accepted", Rule: RuleBreakGlass}).severity(); got != warning {
		t.Errorf("a break-glass code: severity %d", got)
	}
	for verdict, priority := range map[string]string{"accepted": "<86>", "not-asked": "<86>", "denied": "<85>", "fault": "<83>"} {
		sink.Write(Record{User: "alice", Verdict: verdict})
		buffer := make([]byte, 1000)
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(buffer[:n]); !strings.HasPrefix(got, priority+"Mar  4 05:06:07 otpgate[") || !strings.HasSuffix(got, "]: user=alice verdict="+verdict) {
			t.Errorf("%s", got)
		}
	}
}

// Somebody who was invited to enroll, and did, is nothing to worry about.
func TestInvitations(t *testing.T) {
	for _, verdict := range []string{"invited", "opened", "enrolled"} {
		record := Record{User: "alice", Remote: "192.0.2.1", Verdict: verdict, Rule: "totp:phone", By: "link", Reason: "x"}
		if got, want := record.Line(), "user=alice remote=192.0.2.1 verdict="+verdict+" rule=totp:phone by=link reason=x"; got != want {
			t.Errorf("%s, expected %s", got, want)
		}
		if got := record.severity(); got != informational {
			t.Errorf("%s: severity %d", verdict, got)
		}
	}
}

// What the doctor finds has the priority of its worst.
func TestSeverityOfAnExamination(t *testing.T) {
	for rule, want := range map[string]int{RuleErrors: failure, RuleWarnings: notice, RuleNothingWrong: informational} {
		if got := (Record{Verdict: Examined, Rule: rule}).severity(); got != want {
			t.Errorf("%s: expected %d, found %d", rule, want, got)
		}
	}
}

func TestSyslogWithoutALogReturns(t *testing.T) {
	Syslog{Path: filepath.Join(t.TempDir(), "absent")}.Write(Record{User: "alice"})
}

// A kept way to the log leads to whoever listens at the path at that moment.
func TestKeptSyslogFindsANewLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	sink := Syslog{Path: path}
	if err := sink.Keep(); err != nil {
		t.Fatal(err)
	}
	// Nobody is there yet.
	sink.Write(Record{User: "nobody"})
	for _, user := range []string{"alice", "bob"} {
		conn, err := net.ListenPacket("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 1000)
		for range 2 {
			sink.Write(Record{User: user})
			if n, _, err := conn.ReadFrom(buffer); err != nil || !strings.Contains(string(buffer[:n]), "user="+user) {
				t.Errorf("%s: %q, %v", user, buffer[:n], err)
			}
		}
		// The old log stays there, but at another path, as behind a mount.
		if err := os.Rename(path, path+"."+user); err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
}
