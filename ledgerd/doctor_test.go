package main

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// seen are the findings of a machine with that certificate.
func seen(t *testing.T, settings etcdledger.Settings) map[string]string {
	t.Helper()
	m := newMachineWith(t, settings)
	m.start(t)
	return m.findings(t)
}

// Whatever keeps a machine out of etcd, the doctor names it: there and here, a real etcd
// says no.
func TestDoctorNamesIt(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Run(t, etcdtest.Config{Members: 1, Revokes: true})
	cluster.Etcdctl(t, "user", "add", "idle", "--no-password")
	cluster.EnableAuth(t, "otpgate/1/", "server")
	other := etcdtest.NewAuthority(t, t.TempDir())
	member := cluster.Members[0].URL
	strangers, ended, revoked := cluster.Settings(t, "server"), cluster.Settings(t, "server"), cluster.Settings(t, "server")
	strangers.CertificateFile, strangers.KeyFile = other.Issue(t, etcdtest.Certificate{Name: "server"})
	ended.CertificateFile, ended.KeyFile = cluster.Authority.Issue(t, etcdtest.Certificate{Name: "server", Ended: true})
	cluster.Revoke(t, revoked.CertificateFile)
	for _, test := range []struct {
		what     string
		settings etcdledger.Settings
		id       string
		says     []string
	}{
		{"a stranger's certificate", strangers, "ledger-unreachable", []string{member, "does not take this machine's certificate"}},
		{"one that was revoked", revoked, "ledger-unreachable", []string{member, "does not take this machine's certificate"}},
		{"one that has ended", ended, "ledger-unreachable", []string{member, ended.CertificateFile, "expected one that is good now"}},
		{"one that has ended", ended, "ledger-certificate", []string{"A certificate in " + ended.CertificateFile + " ended on "}},
		{"a user without a role", cluster.Settings(t, "idle"), "ledger-refused", []string{"may not read and write the prefix"}},
		{"nobody's name", cluster.Settings(t, "nobody"), "ledger-refused", []string{"may not read and write the prefix"}},
		{"root", cluster.Settings(t, "root"), "ledger-unguarded", nil},
	} {
		found := seen(t, test.settings)
		for _, says := range test.says {
			if !strings.Contains(found[test.id], says) {
				t.Errorf("%s: %q, expected %s with %q", test.what, found, test.id, says)
			}
		}
		if found[test.id] == "" {
			t.Errorf("%s: %q, expected %s", test.what, found, test.id)
		}
	}
	found := seen(t, cluster.Settings(t, "server"))
	for _, id := range []string{"ledger-unreachable", "ledger-refused", "ledger-unguarded"} {
		if found[id] != "" {
			t.Errorf("a server as it should be: %q", found)
		}
	}
	cluster.Etcdctl(t, "auth", "disable")
	if found := seen(t, cluster.Settings(t, "idle")); found["ledger-unguarded"] == "" || found["ledger-refused"] != "" {
		t.Errorf("users switched off: %q", found)
	}
}

// The doctor knows an etcd that can lose data by what it says of itself.
func TestDoctorOldEtcd(t *testing.T) {
	t.Parallel()
	program, version := etcdtest.Old(t)
	cluster := etcdtest.Run(t, etcdtest.Config{Members: 1, Program: program})
	if found := seen(t, cluster.Settings(t, "server")); !strings.Contains(found["ledger-version"], cluster.Members[0].URL+" runs etcd "+version+",") {
		t.Errorf("%q, expected ledger-version with %s", found, version)
	}
}

// A member whose disk is full is gone, and the doctor names it.
func TestDoctorDiskFull(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Run(t, etcdtest.Config{Members: 3, Small: true, Options: []string{"--snapshot-count=10"}})
	m := newMachine(t, cluster, "server")
	m.start(t)
	store, last := m.ledger(t), cluster.Members[2]
	if found := m.findings(t); found["ledger-member"] != "" {
		t.Errorf("before: %q", found)
	}
	cluster.FillDisk(t)
	for step := int64(1); ; step++ {
		if err := login(store, step); err != nil {
			t.Errorf("code %d: %v", step, err)
		}
		select {
		case <-last.Ended():
		default:
			continue
		}
		break
	}
	if found := m.findings(t); !strings.HasPrefix(found["ledger-member"], "A member of etcd does not answer: "+last.URL) || found["ledger-unreachable"] != "" {
		t.Errorf("%q", found)
	}
}
