package transport

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/otpgate/otpgate/internal/config"
)

// tlsConfig trusts the certificates of the file, or the system's.
func tlsConfig(server, caFile string) (*tls.Config, error) {
	settings := &tls.Config{ServerName: server, MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return settings, nil
	}
	data, err := config.ReadCertificates(caFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	settings.RootCAs = x509.NewCertPool()
	if !settings.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("ca_file: %s: expected at least one certificate in PEM", caFile)
	}
	return settings, nil
}

// password reads the file, if there is one.
func password(key, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := config.ReadCredential(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return text, nil
}
