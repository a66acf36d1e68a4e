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
	"github.com/otpgate/otpgate/internal/wire"
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

// mover is a machine whose ledger is moved as docs/ledger.md says.
type mover struct {
	*machine
	block    func(begins string) string
	state    string
	withEtcd string       // its configuration with [ledger]
	running  ledger.Store // of a program that was started before, and goes on
}

// commands runs the lines of a block of the document, which are otpctl's.
func (m *mover) commands(t *testing.T, begins string) (stdout, stderr string, status int) {
	t.Helper()
	for line := range strings.Lines(m.block(begins)) {
		words := strings.Fields(line)
		if words[0] != "otpctl" || status != 0 {
			t.Fatalf("%s: status %d before it", line, status)
		}
		stdout, stderr, status = m.otpctl(t, words[1:]...)
	}
	return stdout, stderr, status
}

// denied expects that no ledger counts: that who logs in, the doctor and otpctl are told.
func (m *mover) denied(t *testing.T, when, id, want string) {
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

// What docs/ledger.md says of moving a ledger does what it says. At no moment is there a
// ledger in which a code is good that was used.
func TestMovedAsWritten(t *testing.T) {
	m := &mover{machine: newMachine(t, etcdtest.Start(t, 1), "server"), block: written(t, "Moving a ledger from files")}
	text, err := os.ReadFile(m.config)
	if err != nil {
		t.Fatal(err)
	}
	m.withEtcd, m.state = string(text), filepath.Join(filepath.Dir(m.config), "state")
	m.write(t, m.paths())
	if m.running, err = m.open(t); err == nil {
		err = login(m.running, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, m.withEtcd)
	m.start(t)
	m.denied(t, "not moved", "ledger-not-moved", "otpctl ledger move --to etcd")
	m.brokenOff(t)
	m.start(t)
	m.moved(t)
	m.looksAtIt(t)
	m.leadsElsewhere(t)
}

// brokenOff has a move broken off, and taken back while etcd cannot be asked.
func (m *mover) brokenOff(t *testing.T) {
	t.Helper()
	move, err := ledger.OpenMove(t.Context(), m.state)
	if err == nil {
		err = move.Begin(ledger.Moved{To: "etcd", Prefix: "otpgate/1/", ID: "0123456789abcdef"})
		move.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	m.denied(t, "broken off", "ledger-move-unfinished", "--undo")
	if _, stderr, status := m.otpctl(t, "ledger", "move", "--to", "etcd"); status != 1 || !strings.Contains(stderr, "put it back as it was then") {
		t.Errorf("it goes on to another ledger: status %d: %s", status, stderr)
	}
	_ = m.cmd.Process.Kill()
	<-m.ended
	m.hurry(t)
	stdout, stderr, status := m.commands(t, "otpctl ledger move --undo")
	m.write(t, m.withEtcd)
	if status != 0 || !strings.Contains(stdout, "NO SERVER MAY USE") || !strings.Contains(stdout, "Take [ledger] out") {
		t.Fatalf("taken back: status %d: %s%s", status, stdout, stderr)
	}
	if err := login(m.running, 2); err != nil {
		t.Errorf("taken back: %v", err)
	}
}

// moved has it moved: what was used is used in etcd, and nothing is good elsewhere.
func (m *mover) moved(t *testing.T) {
	t.Helper()
	stdout, stderr, status := m.commands(t, "otpctl ledger move --to etcd")
	if status != 0 || !strings.Contains(stdout, "The ledger is in etcd now, otpgate/1/, with one entry from "+m.state) {
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
		if err := login(m.running, step); err == nil || errors.Is(err, errUsed) || !strings.Contains(err.Error(), "set [ledger]") {
			t.Errorf("in a program that has the files open: %v", err)
		}
	}
	if err := login(started, 3); err != nil {
		t.Errorf("a new code: %v", err)
	}
	own, err := ledger.OpenOwn(m.state)
	if err == nil {
		err = own.Update(t.Context(), ledger.Key{Kind: ledger.BreakGlass, Name: "root"}, func(entry *ledger.Entry) error {
			entry.UsedHashes = []string{"x"}
			return nil
		})
	}
	if err != nil {
		t.Errorf("break-glass codes: %v", err)
	}
}

// looksAtIt has otpctl say that it was moved, and that nothing is wrong.
func (m *mover) looksAtIt(t *testing.T) {
	t.Helper()
	var again struct {
		To, ID  string
		Already bool
	}
	stdout, stderr, status := m.otpctl(t, "ledger", "move", "--to", "etcd", "--json")
	if err := json.Unmarshal([]byte(stdout), &again); err != nil || status != 0 || !again.Already || again.To != "etcd" || !ledger.ValidID(again.ID) {
		t.Errorf("moved again: status %d, %v: %s%s", status, err, stdout, stderr)
	}
	if found := m.findings(t); found["ledger-not-moved"]+found["ledger-move-unfinished"]+found["ledger-moved"] != "" {
		t.Errorf("moved: %q", found)
	}
	for _, command := range []string{"status", "check"} {
		if stdout, stderr, status = m.otpctl(t, "ledger", command); status != 0 || !strings.Contains(stdout, "one entry.\n") {
			t.Errorf("%s: status %d: %s%s", command, status, stdout, stderr)
		}
	}
}

// leadsElsewhere has the configuration be another one than that of the move.
func (m *mover) leadsElsewhere(t *testing.T) {
	t.Helper()
	path := filepath.Join(m.state, "moved")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), "prefix otpgate/1/", "prefix otpgate/2/", 1)
	if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	m.denied(t, "moved to another prefix", "ledger-moved", "put back the prefix")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, etcd := range []bool{true, false} {
		if !etcd {
			m.write(t, m.paths())
			m.denied(t, "the old configuration", "ledger-moved", "was moved on ")
		}
		if stdout, stderr, status := m.commands(t, "otpctl ledger move --undo"); status != 1 || !strings.Contains(stderr, "It cannot be taken back") {
			t.Errorf("taken back afterwards: status %d: %s%s", status, stdout, stderr)
		}
	}
}

// A verifier that goes on running decides by the files, by nothing while they are not
// moved, and then by etcd, by the configuration alone. At no time is a code good that was
// used; neither if it has its old configuration again, nor if etcd is another one.
func TestVerifierOverAMove(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	v := newVerifier(t, cluster, "server", "1m")
	v.enroll(t, "alice")
	text, err := os.ReadFile(v.config)
	if err != nil {
		t.Fatal(err)
	}
	shared := string(text)
	_, rest, found := strings.Cut(shared, "[policy]")
	files := "[policy]" + rest
	if !found || strings.Contains(files, "[ledger]") {
		t.Fatal(shared)
	}
	used, next := code(t, 0), code(t, 1)
	login := func(when, code string, want wire.Verdict) {
		t.Helper()
		if verdict, told, err := v.login("alice", code); err != nil || verdict != want {
			t.Errorf("%s: %v, %q, %v, expected %v", when, verdict, told, err, want)
		}
	}
	v.write(t, files)
	login("in files", used, wire.Accept)
	login("in files, again", used, wire.MaxTries)
	v.write(t, shared)
	login("not moved", used, wire.Fault)
	login("not moved", next, wire.Fault)
	v.write(t, files)
	login("in files as before", used, wire.MaxTries)
	v.write(t, shared)
	if stdout, stderr, status := v.otpctl(t, "ledger", "move", "--to", "etcd"); status != 0 || !strings.Contains(stdout, "with one entry from "+v.dir+"/state.") {
		t.Fatalf("moved: status %d: %s%s", status, stdout, stderr)
	}
	login("moved", used, wire.MaxTries)
	login("moved", next, wire.Accept)
	login("moved, again", next, wire.MaxTries)
	for _, code := range []string{used, next} {
		v.write(t, files)
		login("the old configuration", code, wire.Fault)
		v.write(t, shared)
		login("the new one again", code, wire.MaxTries)
	}
	v.forgotten(t, cluster)
	login("another etcd", used, wire.Fault)
}

// forgotten has etcd be set up anew, as far as can be seen: it knows nothing of the move.
func (v *verifier) forgotten(t *testing.T, cluster *etcdtest.Cluster) {
	t.Helper()
	keys := strings.Fields(cluster.Etcdctl(t, "get", "--prefix", "--keys-only", "otpgate/1/moved/"))
	if len(keys) != 1 {
		t.Fatalf("moved: %q", keys)
	}
	cluster.Etcdctl(t, "del", "--prefix", "otpgate/1/")
	if _, stderr, status := v.otpctl(t, "ledger", "status"); status != 1 || !strings.Contains(stderr, "nothing is known of that") {
		t.Errorf("another etcd: status %d: %s", status, stderr)
	}
	if _, stderr, status := v.otpctl(t, "ledger", "move", "--to", "etcd"); status != 1 {
		t.Errorf("moved to another etcd: status %d: %s", status, stderr)
	}
	if found := v.findings(t); !strings.Contains(found["ledger-moved"], "knows nothing of that") {
		t.Errorf("another etcd: %q", found)
	}
}
