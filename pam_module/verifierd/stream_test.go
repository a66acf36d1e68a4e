package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/wire"
)

// settle makes the configuration count as one that has been as it is for long,
// so that it is not read again.
func (r *rig) settle(t *testing.T) {
	t.Helper()
	now, err := config.StateOf(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.server.engines.mu.Lock()
	defer r.server.engines.mu.Unlock()
	r.server.engines.seen = now
}

// Ready comes with the prompt, so that a front that is to ask wakes once.
func TestReadyComesWithThePrompt(t *testing.T) {
	r := newRig(t, wide, unhurried)
	r.enroll(t, "alice")
	r.settle(t)
	conn := dial(t, r.socket)
	if err := wire.WriteStart(conn, r.start("alice")); err != nil {
		t.Fatal(err)
	}
	want := append([]byte{wire.Ready, byte(wire.TypePrompt), 0, 0, byte(1 + len(gate.Prompt)), byte(wire.EchoOff)}, gate.Prompt...)
	got := make([]byte, 100)
	if n, err := conn.Read(got); err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("%q, %v; expected %q", got[:n], err, want)
	}
}

// A login of which the first thing to be said is the verdict has its line in the
// log before that, and the line is written only where the front is still there.
func TestReadyComesBeforeTheLine(t *testing.T) {
	r := newRig(t, "[policy]\nexempt = [\"bob\"]\n", unhurried)
	r.settle(t)
	conn := dial(t, r.socket)
	r.log.mu.Lock() // so that no line can be written
	err := conn.open(r.start("bob"))
	r.log.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if verdict, told, err := conn.finish(); err != nil || verdict != wire.Ignore {
		t.Errorf("%v, %q, %v", verdict, told, err)
	}
	r.log.take(t, 1)
}

// slowNames is a name service that answers when it is let go.
type slowNames struct{ answer chan struct{} }

func (s slowNames) Canonical(user string) (string, bool, error) { <-s.answer; return user, true, nil }
func (s slowNames) Others(string) ([]string, error)             { <-s.answer; return nil, nil }
func (s slowNames) InGroup(string, string) (bool, error)        { <-s.answer; return true, nil }

// A front waits for Ready only as long as it would not rather fork a core. A
// name service may take longer, so Ready does not wait for it.
func TestReadyDoesNotWaitForNameServices(t *testing.T) {
	for name, test := range map[string]struct{ text, user string }{
		"group":    {"[policy]\nexempt = [\"@staff\"]\n", "alice"},
		"spelling": {"", "ALICE"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.text, unhurried)
			names := slowNames{make(chan struct{})}
			r.asksNames(t, names)
			conn := dial(t, r.socket)
			_ = conn.SetDeadline(time.Now().Add(patience))
			if err := conn.open(r.start(test.user)); err != nil {
				t.Fatal(err)
			}
			close(names.answer)
			if verdict, told, err := conn.finish(); err != nil || verdict != wire.Ignore {
				t.Errorf("%v, %q, %v", verdict, told, err)
			}
		})
	}
}

// An ordinary user's name is looked up too.
func TestReadyDoesNotWaitForTheOwnName(t *testing.T) {
	r := newRig(t, wide, unhurried)
	r.enroll(t, "alice")
	answer := make(chan struct{})
	wait := func(string) error { <-answer; return nil }
	r.names.ids.Store(&wait)
	conn := dialAs(t, alicesUID, r.socket)
	if err := conn.open(r.start("alice")); err != nil {
		t.Fatal(err)
	}
	close(answer)
	if _, _, err := conn.read(); err != nil {
		t.Error(err)
	}
	_, _ = io.WriteString(conn, "\xff")
}
