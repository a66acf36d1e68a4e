package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// open opens the ledger that counts, as a program does that is started now.
func (m *machine) open(t *testing.T) (ledger.Store, error) {
	t.Helper()
	settings, err := config.Load(m.config)
	if err != nil {
		t.Fatal(err)
	}
	return gate.OpenLedger(settings)
}

func (m *machine) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(m.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commands runs those lines of a block that are otpctl's: there is no systemd here.
func (m *machine) commands(t *testing.T, block string) (stdout, stderr string, status int) {
	t.Helper()
	for line := range strings.Lines(block) {
		words := strings.Fields(line)
		switch {
		case words[0] == "systemctl":
		case words[0] != "otpctl" || status != 0:
			t.Fatalf("%s: status %d before it", line, status)
		default:
			stdout, stderr, status = m.otpctl(t, words[1:]...)
		}
	}
	return stdout, stderr, status
}

// What docs/ledger.md says of moving a ledger does what it says. At no moment is there a
// ledger in which a code is good that was used.
func TestMovedAsWritten(t *testing.T) {
	block := written(t, "Moving a ledger from files")
	m := newMachine(t, etcdtest.Start(t, 1), "server")
	withEtcd, err := os.ReadFile(m.config)
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(filepath.Dir(m.config), "state")
	m.write(t, m.paths())
	running, err := m.open(t)
	if err == nil {
		err = login(running, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	denied := func(when, id, want string) {
		t.Helper()
		if _, err := m.open(t); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", when, err)
		}
		if found := m.findings(t); found[id] == "" {
			t.Errorf("%s: the doctor finds %q", when, found)
		}
		if _, stderr, status := m.otpctl(t, "ledger", "status"); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d: %s", when, status, stderr)
		}
	}

	m.write(t, string(withEtcd))
	m.start(t)
	denied("not moved", "ledger-not-moved", "otpctl ledger move --to etcd")

	// It is broken off, and taken back while etcd cannot be asked.
	move, err := ledger.OpenMove(t.Context(), state)
	if err == nil {
		err = move.Begin(ledger.Moved{To: "etcd", Prefix: "otpgate/1/", ID: "0123456789abcdef"})
		move.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	denied("broken off", "ledger-move-unfinished", "--undo")
	if _, stderr, status := m.otpctl(t, "ledger", "move", "--to", "etcd"); status != 1 || !strings.Contains(stderr, "put it back as it was then") {
		t.Errorf("it goes on to another ledger: status %d: %s", status, stderr)
	}
	_ = m.cmd.Process.Kill()
	<-m.ended
	stdout, stderr, status := m.commands(t, block("otpctl ledger move --undo"))
	if status != 0 || !strings.Contains(stdout, "NO SERVER MAY USE") || !strings.Contains(stdout, "Take [ledger] out") {
		t.Fatalf("taken back: status %d: %s%s", status, stdout, stderr)
	}
	if err := login(running, 2); err != nil {
		t.Errorf("taken back: %v", err)
	}

	m.start(t)
	stdout, stderr, status = m.commands(t, block("systemctl enable"))
	if status != 0 || !strings.Contains(stdout, "The ledger is in etcd now, otpgate/1/, with one entry from "+state) {
		t.Fatalf("moved: status %d: %s%s", status, stdout, stderr)
	}
	started, err := m.open(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := login(started, 2); !errors.Is(err, errUsed) {
		t.Errorf("a used code in etcd: %v", err)
	}
	for _, step := range []int64{2, 3} {
		if err := login(running, step); err == nil || errors.Is(err, errUsed) || !strings.Contains(err.Error(), "set [ledger]") {
			t.Errorf("in a program that has the files open: %v", err)
		}
	}
	if err := login(started, 3); err != nil {
		t.Errorf("a new code: %v", err)
	}
	var again movedAgain
	stdout, stderr, status = m.otpctl(t, "ledger", "move", "--to", "etcd", "--json")
	if err := json.Unmarshal([]byte(stdout), &again); err != nil || status != 0 || !again.Already || again.To != "etcd" || !ledger.ValidID(again.ID) {
		t.Errorf("moved again: status %d, %v: %s%s", status, err, stdout, stderr)
	}
	if found := m.findings(t); found["ledger-not-moved"]+found["ledger-move-unfinished"]+found["ledger-moved"] != "" {
		t.Errorf("moved: %q", found)
	}
	if stdout, stderr, status = m.otpctl(t, "ledger", "check"); status != 0 || stdout != "All can be used: one entry.\n" {
		t.Errorf("checked: status %d: %s%s", status, stdout, stderr)
	}
	path := filepath.Join(state, "moved")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for old, want := range map[string]string{"id " + again.ID: "see docs/ledger.md", "prefix otpgate/1/": "put back the prefix"} {
		other := strings.Replace(string(text), old, old[:len(old)-1]+"x", 1)
		if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, stderr, status := m.otpctl(t, "ledger", "status"); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("moved to another: status %d: %s", status, stderr)
		}
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := ledger.OpenOwn(state)
	if err == nil {
		err = own.Update(t.Context(), ledger.Key{Kind: ledger.BreakGlass, Name: "root"}, func(entry *ledger.Entry) error {
			entry.Spent = []string{"x"}
			return nil
		})
	}
	if err != nil {
		t.Errorf("break-glass codes: %v", err)
	}

	m.write(t, m.paths())
	denied("the old configuration", "ledger-moved", "was moved on ")
	if stdout, stderr, status = m.commands(t, block("otpctl ledger move --undo")); status != 1 || !strings.Contains(stderr, "It cannot be taken back") {
		t.Errorf("taken back afterwards: status %d: %s%s", status, stdout, stderr)
	}
}

type movedAgain struct {
	To, ID  string
	Already bool
}
