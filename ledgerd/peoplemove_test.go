package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// What docs/ledger.md says of people in etcd does what it says, on servers that had their
// people in files: whose file is left is denied, and named; once moved, people of either
// server log in on both; and back in files nothing is lost.
func TestPeopleMovedAsWritten(t *testing.T) {
	command := strings.Fields(written(t, "People in etcd")("otpctl ledger move --people"))[1:]
	s := &peopleSite{cluster: etcdtest.Start(t, 1), keys: t.TempDir()}
	if err := os.Chmod(s.keys, 0o700); err != nil {
		t.Fatal(err)
	}
	s.newKey(t, "first")
	for _, name := range []string{"server1", "server2"} {
		v := newVerifier(t, s.cluster, name, "1m", s.tables())
		v.must(t, "ledger", "move", "--to", "etcd")
		s.servers = append(s.servers, v)
	}
	one, other := s.servers[0], s.servers[1]
	daemon, bin := one.enrolls(t, "daemon"), other.enrolls(t, "bin")
	if _, stderr, status := one.otpctl(t, command...); status != 1 || !strings.Contains(stderr, "expected ledger.people = true") {
		t.Errorf("without the setting: status %d: %s", status, stderr)
	}
	for _, v := range s.servers {
		v.replace(t, "[secrets]", "people = true\n[secrets]")
	}
	one.wants(t, "daemon", codeOf(t, daemon, 1), wire.Fault)
	if found := one.findings(t); found["people-not-moved"] == "" {
		t.Errorf("the doctor finds %q", found)
	}
	if _, stderr, status := one.otpctl(t, "list"); status != 0 || !strings.Contains(stderr, one.dir+"/users/daemon.toml") || !strings.Contains(stderr, "ledger move --people") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if _, stderr, status := one.otpctl(t, "enroll", "daemon", "--json"); status != 1 || !strings.Contains(stderr, "was not moved to etcd") {
		t.Errorf("enrolled beside the file: status %d: %s", status, stderr)
	}
	for _, v := range s.servers {
		if stdout := v.must(t, command...); !strings.Contains(stdout, "1 secret file is moved to etcd:otpgate/1/people") && !strings.Contains(stdout, "one secret file is moved to etcd:otpgate/1/people") {
			t.Errorf("%s", stdout)
		}
		if found := v.findings(t); found["people-not-moved"] != "" || found["ledger-not-noted"] != "" {
			t.Errorf("the doctor finds %q", found)
		}
	}
	next := codeOf(t, daemon, 1)
	other.wants(t, "daemon", next, wire.Accept)
	one.wants(t, "daemon", next, wire.MaxTries)
	one.wants(t, "bin", codeOf(t, bin, 1), wire.Accept)
	other.must(t, "remove", "bin", "--yes")
	s.back(t, next)
}

// tables are what the configuration of a server has behind that of the ledger.
func (s *peopleSite) tables() string {
	return "[secrets]\nkeys = ['" + s.key("first") + "']\n[totp]\nperiod = 300\nissuer = 'example.com'\n"
}

// replace changes the machine's configuration.
func (m *machine) replace(t *testing.T, before, after string) {
	t.Helper()
	text, err := os.ReadFile(m.config)
	if err != nil || !strings.Contains(string(text), before) {
		t.Fatal(before, err)
	}
	m.write(t, strings.Replace(string(text), before, after, 1))
}

// back has the first server have its people in files again. used was used.
func (s *peopleSite) back(t *testing.T, used string) {
	t.Helper()
	one := s.servers[0]
	backup, identity := s.key("backup"), s.key("identity")
	drawn, err := age.GenerateX25519Identity()
	if err == nil {
		err = os.WriteFile(identity, []byte(drawn.String()+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	one.must(t, "export", "--recipient", drawn.Recipient().String(), "--out", backup)
	one.replace(t, "people = true\n", "")
	one.wants(t, "daemon", used, wire.Fault)
	one.wants(t, "stranger", "", wire.Fault)
	if _, stderr, status := one.otpctl(t, "import", "backup", backup, "--identity", identity); status != 1 || !strings.Contains(stderr, "were moved to etcd") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if err := errors.Join(os.Remove(one.dir+"/users/moved"), os.Remove(one.dir+"/users/daemon.toml.moved")); err != nil {
		t.Fatal(err)
	}
	// Nobody is enrolled now: that people are in etcd still keeps them out.
	one.denies(t, "daemon")
	one.denies(t, "stranger")
	one.must(t, "import", "backup", backup, "--identity", identity)
	one.wants(t, "daemon", used, wire.MaxTries)
	one.denies(t, "stranger")
	s.cluster.Etcdctl(t, "del", "--prefix", "otpgate/1/people/")
	testwait.Until(t, "people in etcd are forgotten", func() bool {
		verdict, _, err := one.login("stranger", "")
		return err == nil && verdict == wire.Ignore
	})
}

// A thousand files that were written by hand, with comments, two of them of names that differ
// in their cases alone: what keeps them from being moved is said in a few lines, and they go to
// etcd as otpctl secrets encrypt leaves them, each under its own name.
func TestManyByHandMoved(t *testing.T) {
	s := newPeopleSite(t, 1, 1, "1m")
	v := s.servers[0]
	v.replace(t, "people = true\n", "people = false\n")
	const people = 1000
	for n := range people {
		name := fmt.Sprintf("hand%04d", n)
		switch n {
		case 0:
			name = "daemon"
		case 1:
			name = "Daemon"
		}
		text := fmt.Sprintf("# %s has the grey token\nversion = 1\nuser = %q # as in the directory\nenabled = true\n\n[[factor]]\nid = \"phone\"\nkind = \"totp\"\nsecret = %q # by hand\ndigits = 8\nperiod = %d\nalgorithm = \"SHA1\"\nconfirmed = 2026-01-01T00:00:00Z\n", name, name, secret, period)
		if err := os.WriteFile(v.dir+"/users/"+name+".toml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v.replace(t, "people = false\n", "people = true\n")
	_, stderr, status := v.otpctl(t, "ledger", "move", "--people")
	if status != 1 || strings.Count(stderr, "\n") > 30 {
		t.Errorf("status %d, %d lines", status, strings.Count(stderr, "\n"))
	}
	for _, want := range []string{"1000 of the secret files cannot be moved", "Daemon.toml: ", "and 980 more", "otpctl secrets encrypt", "nothing was moved"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	v.replace(t, "people = true\n", "people = false\n")
	v.must(t, "secrets", "encrypt")
	v.replace(t, "people = false\n", "people = true\n")
	if stdout := v.must(t, "ledger", "move", "--people"); !strings.Contains(stdout, "1000 secret files are moved to etcd:otpgate/1/people; of 0 of them") {
		t.Errorf("%s", stdout)
	}
	inEtcd := s.cluster.Etcdctl(t, "get", "otpgate/1/people/", "--prefix")
	for _, want := range []string{"otpgate/1/people/daemon/daemon\n", "otpgate/1/people/daemon/Daemon\n", "# daemon has the grey token\n"} {
		if !strings.Contains(inEtcd, want) {
			t.Errorf("no %q in etcd", want)
		}
	}
	if strings.Contains(inEtcd, secret) {
		t.Error("a secret went there as it is")
	}
	v.wants(t, "daemon", code(t, 0), wire.Accept)
	v.wants(t, "Daemon", code(t, 0), wire.Accept)
	v.wants(t, "hand0999", code(t, 0), wire.Accept)
	if stdout := v.must(t, "list", "--json"); strings.Count(stdout, `"enrolled"`) != people {
		t.Errorf("%d are listed as enrolled", strings.Count(stdout, `"enrolled"`))
	}
}
