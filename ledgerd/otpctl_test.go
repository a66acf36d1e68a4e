package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// otpctl runs the real one on the machine.
func (m *machine) otpctl(t testing.TB, arguments ...string) (stdout, stderr string, status int) {
	t.Helper()
	dir, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	var out, problems strings.Builder
	cmd := exec.Command(dir+"/otpctl", append([]string{"--config", m.config}, arguments...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = &out, &problems
	_ = cmd.Run()
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

// otpctl ledger says how etcd is, names a member that is gone and an entry that is
// none, and fails where otpgate-ledgerd does not run.
func TestOtpctlLedger(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	m := newMachine(t, cluster, "server")
	m.start(t)
	if err := login(m.ledger(t), 1); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status := m.otpctl(t, "ledger", "status")
	for _, want := range []string{
		`(?m)^The ledger is in etcd, otpgate/1/\.$`, `(?m)^It has one entry\.$`, `(?m)^Of etcd's 3 members 2 must work\.$`,
		`(?m)^https://\S+ +3\.\d+\.\d+ +yes +\d+\.\d MiB +2048\.0 MiB +- +as here *$`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("expected %s in\n%s", want, stdout)
		}
	}
	if status != 0 || stderr != "" {
		t.Errorf("status %d: %s", status, stderr)
	}
	cluster.Etcdctl(t, "put", "otpgate/1/users/bob", "no entry at all")
	if stdout, stderr, status = m.otpctl(t, "ledger", "check"); status != 1 || !strings.HasPrefix(stdout, "users/bob: ") || !strings.Contains(stderr, "1 of 2 cannot be used") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	cluster.Etcdctl(t, "del", "otpgate/1/users/bob")
	if stdout, stderr, status = m.otpctl(t, "ledger", "check"); status != 0 || stdout != "All can be used: one entry.\n" {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	cluster.Members[2].Kill()
	stdout, stderr, status = m.otpctl(t, "ledger", "status", "--json")
	var state struct {
		Kind    string
		Entries int
		Members []struct{ URL, Version, Problem string }
	}
	if err := json.Unmarshal([]byte(stdout), &state); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if state.Kind != "etcd" || state.Entries != 1 || len(state.Members) != 3 || state.Members[2].Problem == "" || state.Members[0].Problem != "" {
		t.Errorf("%+v", state)
	}
	if status != 1 || !strings.Contains(stderr, cluster.Members[2].URL) {
		t.Errorf("a member is gone: status %d, %s", status, stderr)
	}
	_ = m.cmd.Process.Kill()
	<-m.ended
	m.hurry(t)
	if stdout, stderr, status = m.otpctl(t, "ledger", "status"); status != 1 || !strings.Contains(stderr, "otpgate-ledgerd at "+m.socket) || strings.Contains(stdout, "It has") {
		t.Errorf("without otpgate-ledgerd: status %d, %s%s", status, stdout, stderr)
	}
}

// findings are those about the ledger that otpctl doctor has of the machine.
func (m *machine) findings(t *testing.T) map[string]string {
	t.Helper()
	stdout, stderr, _ := m.otpctl(t, "doctor", "--json")
	var report struct {
		Findings []struct{ ID, What string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	found := map[string]string{}
	for _, f := range report.Findings {
		if strings.HasPrefix(f.ID, "ledger-") || strings.HasPrefix(f.ID, "people-") {
			found[f.ID] += f.What + "\n"
		}
	}
	return found
}

// The doctor says of a real etcd that it has one member, is full, and is gone.
func TestDoctor(t *testing.T) {
	cluster := etcdtest.Start(t, 1, "--quota-backend-bytes", "1000000")
	m := newMachine(t, cluster, "server")
	m.start(t)
	found := m.findings(t)
	// Nobody made users there, and certificates of tests are good for a day.
	if len(found) != 3 || strings.Count(found["ledger-certificate"], " ends on ") != 3 || found["ledger-few-members"] != "etcd has 1 member.\n" || found["ledger-unguarded"] == "" {
		t.Errorf("%q", found)
	}
	text, err := os.ReadFile(m.config)
	if err == nil {
		err = os.WriteFile(m.config, append(bytes.Clone(text), "prefix = 'otpgate/2/'\n"...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if found = m.findings(t); !strings.Contains(found["ledger-not-restarted"], `"otpgate/1/", expected "otpgate/2/"`) {
		t.Errorf("otpgate-ledgerd was not restarted: %q", found)
	}
	if stdout, _, _ := m.otpctl(t, "ledger", "status"); !strings.HasPrefix(stdout, "The ledger is in etcd, otpgate/1/.\n") {
		t.Errorf("otpgate-ledgerd was not restarted: %s", stdout)
	}
	if err := os.WriteFile(m.config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	store := m.ledger(t)
	for n := 0; err == nil; n++ {
		err = store.Update(t.Context(), ledger.UserKey("bob"), func(e *ledger.Entry) error {
			e.UsedHashes = []string{strings.Repeat("x", 60_000-n)}
			return nil
		})
	}
	if found = m.findings(t); !strings.Contains(found["ledger-alarm"], "NOSPACE") || found["ledger-quota"] == "" {
		t.Errorf("full: %q", found)
	}
	cluster.Members[0].Kill()
	if found = m.findings(t); !strings.HasPrefix(found["ledger-unreachable"], "No member of etcd answers: "+cluster.Members[0].URL) {
		t.Errorf("without etcd: %q", found)
	}
	_ = m.cmd.Process.Kill()
	<-m.ended
	m.hurry(t)
	if found = m.findings(t); !strings.Contains(found["ledger-unreachable"], "otpgate-ledgerd at "+m.socket) {
		t.Errorf("without otpgate-ledgerd: %q", found)
	}
}
