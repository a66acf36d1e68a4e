package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgersocket"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// sharedLedger is the table [ledger] of a machine whose otpgate-ledgerd is at socket.
func sharedLedger(socket, timeout string) string {
	return fmt.Sprintf("[ledger]\netcd = [\"http://127.0.0.1:2379\"]\nsocket = %q\ntimeout = %q\n", socket, timeout)
}

// giveBreakGlass makes codes of root's.
func (p *installation) giveBreakGlass(t *testing.T) []string {
	t.Helper()
	codes, kept := breakglass.New("root", time.Now())
	if err := breakglass.Save(p.breakGlass(), kept); err != nil {
		t.Fatal(err)
	}
	return codes
}

// Where servers share a ledger and none of it can be reached, whoever has break-glass
// codes of the machine is asked for one, which is good once there; everybody else is
// denied, and the log names what did not answer.
func TestBreakGlassWithoutTheLedger(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "ledger.sock")
	r := newRig(t, sharedLedger(socket, "1s"), unhurried)
	codes := r.giveBreakGlass(t)
	r.enroll(t, "root")
	alice := r.enroll(t, "alice")
	verdict, told, err := dial(t, r.socket).login(r.start("root"), codes[0])
	if verdict != wire.Accept || err != nil || !strings.Contains(told, "You have 7 left on this machine.") {
		t.Errorf("%v, %q, %v", verdict, told, err)
	}
	verdict, told, err = dial(t, r.socket).login(r.start("root"), codes[0], codes[0], codes[0])
	if verdict != wire.MaxTries || err != nil {
		t.Errorf("again: %v, %q, %v", verdict, told, err)
	}
	verdict, told, err = dial(t, r.socket).login(r.start("alice"), alice.code(t))
	if verdict != wire.Fault || err != nil || !strings.Contains(told, "cannot be checked now") {
		t.Errorf("without such codes: %v, %q, %v", verdict, told, err)
	}
	lines := r.log.take(t, 3)
	for i, rule := range []string{"break-glass", "policy.attempts.per_login", "ledger"} {
		if line := lines[i]; line.Rule != rule || !strings.Contains(line.Reason, "otpgate-ledgerd at "+socket) {
			t.Errorf("line %d of the log: %+v", i, line)
		}
	}
}

// A client whose login was taken is not asked for codes of the server's when the ledger
// goes away; and before that its login is not taken.
func TestClientsHaveTheirOwnBreakGlass(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "ledger.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = ledgersocket.Answer(conn, emptyLedger{})
		}
	}()
	// It is waited for until then, and answers before that, however busy the machine.
	r := newServerRig(t, sharedLedger(socket, "10s"), nil)
	codes := r.giveBreakGlass(t)
	r.enroll(t, "root")
	f, answer := r.take(t, "web1")
	if !answer.Taken || answer.Ledger != emptyLedgerID {
		t.Fatalf("%+v", answer)
	}
	_ = listener.Close()
	<-ended
	person := &script{answers: codes}
	outcome := relay(t, f, by("root", remotewire.RootProgram), person)
	if outcome.Verdict != wire.Fault || outcome.Rule != "ledger" || len(person.answers) != len(codes) {
		t.Errorf("%+v, told %q", outcome, person.told)
	}
	if _, answer = r.take(t, "web1"); answer.Taken || !strings.Contains(answer.Busy, "ledger") {
		t.Errorf("without the ledger: %+v", answer)
	}
}

// emptyLedger has an id and nothing else.
type emptyLedger struct{}

const emptyLedgerID = "0123456789abcdef"

func (emptyLedger) Get(_ context.Context, key string) (casledger.Register, error) {
	if key == "id" {
		return casledger.Register{Value: []byte(emptyLedgerID), Revision: 1}, nil
	}
	return casledger.Register{}, nil
}

func (emptyLedger) Swap(context.Context, string, int64, []byte, time.Duration) (bool, casledger.Register, error) {
	return false, casledger.Register{}, casledger.ErrUnavailable
}

func (emptyLedger) Close() error { return nil }
