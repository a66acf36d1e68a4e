package etcdtest

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Authority is a certificate authority of a test.
type Authority struct {
	// File has its certificate.
	File string

	dir         string
	hosts       []net.IP
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	issued      atomic.Int32
	// adminFiles are the certificate and key of etcd's root.
	adminFiles [2]string
}

// Certificate is what is asked of an Authority.
type Certificate struct {
	// Name is the common name, which is the user in etcd.
	Name string
	// Ended has it end in the past.
	Ended bool
	// Lasts is how long it is good, a day if nothing is said.
	Lasts time.Duration
}

// NewAuthority makes one whose files are in dir. Its certificates are for loopback and
// these addresses.
func NewAuthority(t testing.TB, dir string, hosts ...string) *Authority {
	t.Helper()
	a := &Authority{dir: dir, key: newKey(t)}
	for _, one := range append([]string{host(), "127.0.0.1"}, hosts...) {
		a.hosts = append(a.hosts, net.ParseIP(one))
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.certificate, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.File = filepath.Join(dir, fmt.Sprintf("authority%x.pem", a.certificate.SubjectKeyId))
	write(t, a.File, "CERTIFICATE", der)
	a.adminFiles[0], a.adminFiles[1] = a.Issue(t, Certificate{Name: "root"})
	return a
}

func (a *Authority) admin() (certificate, key string) { return a.adminFiles[0], a.adminFiles[1] }

// Issue makes a certificate, for both ends of a connection as etcd's members need it,
// and its key.
func (a *Authority) Issue(t testing.TB, wanted Certificate) (certificate, key string) {
	t.Helper()
	own := newKey(t)
	n := a.issued.Add(1)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(n) + 1), Subject: pkix.Name{CommonName: wanted.Name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(cmp.Or(wanted.Lasts, 24*time.Hour)),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: a.hosts,
	}
	if wanted.Ended {
		template.NotAfter = time.Now().Add(-time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(a.dir, fmt.Sprintf("%s-%d", wanted.Name, n))
	write(t, base+".pem", "CERTIFICATE", der)
	write(t, base+".key", "PRIVATE KEY", private)
	return base + ".pem", base + ".key"
}

// Revoke writes a list that has these certificates alone to the file path. A reader sees
// the old list or the new one, whole.
func (a *Authority) Revoke(t testing.TB, path string, certificates ...string) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour)}
	for _, file := range certificates {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: one.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	draft := path + ".new"
	write(t, draft, "X509 CRL", der)
	if err := os.Rename(draft, path); err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
