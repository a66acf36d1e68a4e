package hosts

import (
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
	"os/exec"
	"sync"
	"time"

	"github.com/otpgate/otpgate/e2e/machine"
)

// cover says whether a server speaks TLS.
type cover bool

const (
	plain     cover = false
	encrypted cover = true
)

var makeCertificate = sync.OnceValues(func() (string, error) {
	path := machine.Root + "/tls.pem"
	output, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path+".key", "-out", path+".crt", "-days", "30",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	var both []byte
	for _, part := range []string{path + ".key", path + ".crt"} {
		text, err := os.ReadFile(part)
		if err != nil {
			return "", err
		}
		both = append(both, text...)
	}
	return path, os.WriteFile(path, both, 0o600)
})

// certificate is a file with the machine's key and certificate, which clients
// take for their authority too.
func certificate(t machine.T) string {
	t.Helper()
	path, err := makeCertificate()
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	return path
}

// ownCertificate makes key.pem and cert.pem in the server's directory, for
// 127.0.0.1 and Outside, and returns where the latter is.
func ownCertificate(t machine.T, d *daemon) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("key of %s: %v", d.name, err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: d.name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(Outside)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("certificate of %s: %v", d.name, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("key of %s: %v", d.name, err)
	}
	secret := d.keep(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatalf("key of %s: %v", d.name, err)
	}
	return d.keep(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})))
}
