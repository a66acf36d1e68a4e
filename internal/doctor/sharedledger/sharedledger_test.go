package sharedledger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

func TestLossy(t *testing.T) {
	for version, want := range map[string]bool{
		"3.4.21": true, "3.4.22": false, "3.4.23": false, "3.5.0": true, "3.5.5": true, "3.5.6": false, "3.5.16": false, "3.6.0": false, "3.3.27": true, "2.3.8": true, "4.0.0": false, "": false, "unknown": false,
	} {
		if lossy(version) != want {
			t.Errorf("%q: %v, expected %v", version, !want, want)
		}
	}
}

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
			Settings: config.Config{Ledger: &config.Ledger{CAFile: authority.File, CertificateFile: test.certificate, KeyFile: key}}}
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
