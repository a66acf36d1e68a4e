package sharedledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// noFiles are the paths of a machine that never had a ledger in files.
var noFiles = config.Paths{State: "/nonexistent/state"}

func TestLossy(t *testing.T) {
	for version, want := range map[string]bool{
		"3.4.21": true, "3.4.22": false, "3.4.23": false, "3.5.0": true, "3.5.5": true, "3.5.6": false, "3.5.16": false, "3.6.0": false, "3.3.27": true, "2.3.8": true, "4.0.0": false, "": false, "unknown": false,
	} {
		if lossy(version) != want {
			t.Errorf("%q: %v, expected %v", version, !want, want)
		}
	}
}

// An authority that has ended does no harm beside the one that takes its place.
func TestBundle(t *testing.T) {
	authority := etcdtest.NewAuthority(t, t.TempDir())
	older, key := authority.Issue(t, etcdtest.Certificate{Name: "older"}) // it ends a day before the authority
	var bundle []byte
	for _, path := range []string{older, authority.File} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bundle = append(bundle, text...)
	}
	both := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(both, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]finding.Severity{30 * time.Hour: finding.Warning, 60 * time.Hour: finding.Error} {
		e := Exam{Now: func() time.Time { return time.Now().Add(after) }, Settings: config.Config{Paths: noFiles, Ledger: &config.Ledger{CAFile: both, KeyFile: key}}}
		if found := e.Examine(t.Context()); len(found) != 2 || found[0].ID != "ledger-certificate" || found[0].Severity != want {
			t.Errorf("after %v: %v", after, found)
		}
	}
}

// A member's certificate is to be renewed a month before its end too.
func TestMemberCertificate(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]int{31 * day: 0, 29 * day: 1} {
		one := casledger.Member{URL: "https://a:2379", Version: "3.5.16", Certificate: now.Add(left)}
		status := casledger.Status{Prefix: "p/", Size: 3, Members: []casledger.Member{one, {URL: "https://b:2379", Version: "3.5.16"}, {URL: "https://c:2379", Version: "3.5.16"}}}
		e := Exam{Now: func() time.Time { return now }, Ask: func(context.Context, config.Ledger) (casledger.Status, error) { return status, nil },
			Settings: config.Config{Paths: noFiles, Ledger: &config.Ledger{Prefix: "p/", Etcd: []string{"https://a:2379", "https://b:2379", "https://c:2379"}}}}
		found := e.Examine(t.Context())
		if len(found) != want || want > 0 && (found[0].ID != "ledger-certificate" || !strings.Contains(found[0].What, "https://a:2379 ends on 2026-12-21")) {
			t.Errorf("%v before its end: %v", left, found)
		}
	}
}

// A real member's clock and certificate are compared with this machine's clock.
func TestRealMember(t *testing.T) {
	etcd := etcdtest.Start(t, 1)
	for off, want := range map[time.Duration]bool{0: false, time.Hour: true, -time.Hour: true} {
		settings := etcd.Settings(t, "server")
		settings.Now = func() time.Time { return time.Now().Add(off) }
		cluster, err := etcdledger.NewCluster(settings)
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		e := Exam{Now: time.Now, Ask: func(ctx context.Context, _ config.Ledger) (casledger.Status, error) { return cluster.Status(ctx) },
			Settings: config.Config{Ledger: &config.Ledger{Prefix: settings.Prefix, Etcd: settings.Endpoints}}}
		found := map[string]string{}
		for _, f := range e.Examine(t.Context()) {
			found[f.ID] = f.What
		}
		clock, has := found["ledger-clock"]
		if has != want || want && !strings.HasPrefix(clock, "The clock of "+etcd.Members[0].URL+" is ") || !strings.HasPrefix(found["ledger-certificate"], "The certificate of "+etcd.Members[0].URL+" ends on ") {
			t.Errorf("this machine's clock is %v off: %q", off, found)
		}
	}
}

const day = 24 * time.Hour

// A certificate is to be renewed a month before its end; one that has ended, or is
// none, keeps everybody out.
func TestCertificates(t *testing.T) {
	authority := etcdtest.NewAuthority(t, t.TempDir())
	own, key := authority.Issue(t, etcdtest.Certificate{Name: "server"}) // it is good for a day
	open := filepath.Join(t.TempDir(), "open.pem")
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o666); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	const asked = "note not-looked-at"
	for _, test := range []struct {
		certificate string
		now         time.Duration
		want        []string
	}{
		{own, -60 * 24 * time.Hour, nil},
		{own, 0, []string{"warning ca_file ends on", "warning certificate_file ends on"}},
		{own, 30 * time.Hour, []string{"warning ca_file ends on", "error certificate_file ended on"}},
		{own, 60 * time.Hour, []string{"error ca_file ended on", "error certificate_file ended on"}},
		{open, -60 * 24 * time.Hour, []string{"error certificate_file open.pem"}},
	} {
		path := filepath.Join(t.TempDir(), "otpgate.toml")
		if err := os.WriteFile(path, []byte("[ledger]\netcd = []\nca_file = ''\ncertificate_file = ''\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		e := Exam{Path: path, Now: func() time.Time { return time.Now().Add(test.now) },
			Settings: config.Config{Paths: noFiles, Ledger: &config.Ledger{CAFile: authority.File, CertificateFile: test.certificate, KeyFile: key}}}
		findings := e.Examine(t.Context())
		last := findings[len(findings)-1]
		if found := fmt.Sprint(last.Severity, " ", last.ID); found != asked || last.Line != 2 {
			t.Errorf("what could not be asked: %s at line %d", found, last.Line)
		}
		findings = findings[:len(findings)-1]
		if len(findings) != len(test.want) {
			t.Errorf("%s, %v: %v", test.certificate, test.now, findings)
			continue
		}
		for i, want := range test.want {
			words := strings.SplitN(want, " ", 3)
			line := map[string]int{"ca_file": 3, "certificate_file": 4}[words[1]]
			if f := findings[i]; fmt.Sprint(f.Severity) != words[0] || f.Line != line || f.ID != "ledger-certificate" || !strings.Contains(f.What, words[2]) {
				t.Errorf("expected %s, found %v", want, f)
			}
		}
	}
}
