package webpage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// written writes a certificate for otp.example.com that ends then, and its key.
func written(t *testing.T, dir string, ends time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"otp.example.com"}, NotBefore: ends.AddDate(-1, 0, 0), NotAfter: ends}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"c.pem": {Type: "CERTIFICATE", Bytes: certificate}, "k.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A certificate is to be renewed a month before its end.
func TestCertificateEnds(t *testing.T) {
	ends := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	written(t, dir, ends)
	for left, want := range map[time.Duration]string{
		soon: "", soon - time.Second: "warning: The certificate in /c.pem ends on 2026-11-22.",
		time.Second: "warning: The certificate in /c.pem ends on 2026-11-22.", 0: "error: The certificate in /c.pem ended on 2026-11-22.",
	} {
		m := &target.Machine{Root: dir, Now: func() time.Time { return ends.Add(-left) }}
		m.Fill()
		e := exam{Exam: Exam{Machine: m}, portal: config.Portal{URL: "https://otp.example.com", CertificateFile: "/c.pem", KeyFile: "/k.pem"}}
		e.certificate()
		found := ""
		for _, f := range e.findings {
			if f.ID != "page-certificate" {
				t.Errorf("%v", f)
			}
			found += f.Severity.String() + ": " + f.What
		}
		if found != want {
			t.Errorf("%v before its end: %q, expected %q", left, found, want)
		}
	}
}

// A finding names the line of the table, and not one that is called alike in another.
func TestLines(t *testing.T) {
	e := exam{text: []byte("[sms]\nurl = 'x'\n\n[portal]\nlink = '3d'\nurl = 'y'\n")}
	for key, want := range map[string]int{"url": 6, "link": 5, "socket": 4} {
		e.add(key, finding.Finding{})
		if got := e.findings[len(e.findings)-1].Line; got != want {
			t.Errorf("%s is in line %d, expected %d", key, got, want)
		}
	}
}

// What nginx includes and is not read here may say where browsers are.
func TestNginxIncludes(t *testing.T) {
	for text, want := range map[string]nginx{
		"proxy_pass http://unix:/s;":                         {line: 1},
		"proxy_pass http://unix:/s; # x\ninclude /etc/p;":    {line: 1, others: true},
		"include /etc/nginx/mime.types;":                     {},
		"proxy_set_header x-forwarded-for \"$remote_addr\";": {sets: true, forwarded: "$remote_addr"},
		"# proxy_pass http://unix:/s;":                       {},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/n", []byte(strings.TrimSpace(text)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := readNginx(dir, "/n", "/s"); got != want {
			t.Errorf("%q: %+v, expected %+v", text, got, want)
		}
	}
}
