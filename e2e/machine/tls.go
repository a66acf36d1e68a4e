package machine

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
)

// cover says whether a server speaks TLS.
type cover bool

const (
	plain     cover = false
	encrypted cover = true
)

var makeCertificate = sync.OnceValues(func() (string, error) {
	path := Root + "/tls.pem"
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
func certificate(t T) string {
	t.Helper()
	path, err := makeCertificate()
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	return path
}
