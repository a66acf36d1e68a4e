package etcdledger

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/otpgate/otpgate/internal/config"
)

// client makes the client of one member. It connects when it is first asked.
func (s Settings) client(endpoint string) (*clientv3.Client, error) {
	settings := clientv3.Config{
		Endpoints: []string{endpoint},
		Logger:    zap.NewNop(), // it would write to standard error
		// casledger tries again, and knows what may be tried.
		MaxUnaryRetries: 1,
		DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(failFast),
			// What the environment says of proxies is not for this.
			grpc.WithNoProxy(),
			// A member that comes back is to be found at once, and the usual longest
			// pause is two minutes.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: s.Limits.Try,
			}),
		},
	}
	if s.CertificateFile != "" {
		at, err := url.Parse(endpoint)
		if err != nil {
			return nil, err
		}
		settings.TLS = s.tls(at.Hostname())
	}
	return clientv3.New(settings)
}

// failFast has a question to a member that cannot be reached fail at once, where
// etcd's client would wait: the next member can be asked.
func failFast(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(ctx, method, request, reply, connection, append(options, grpc.WaitForReady(false))...)
}

// tls is for the member at host. It reads the files at each connection, so that renewed
// certificates count without a restart.
func (s Settings) tls(host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return s.certificate()
		},
		// The member is verified below, with the authorities of now.
		InsecureSkipVerify: true,
		VerifyConnection:   func(state tls.ConnectionState) error { return s.verify(state, host) },
	}
}

func (s Settings) certificate() (*tls.Certificate, error) {
	certificate, err := config.ReadCertificates(s.CertificateFile)
	if err != nil {
		return nil, err
	}
	key, err := config.ReadKey(s.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", s.CertificateFile, s.KeyFile, err)
	}
	// The member would say no more than that the certificate is bad.
	if now := time.Now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		return nil, fmt.Errorf("%s: the certificate is good from %s to %s, expected one that is good now", s.CertificateFile, pair.Leaf.NotBefore.Format(time.RFC3339), pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	return &pair, nil
}

// verify is what package tls does without InsecureSkipVerify. The name in state is no use:
// it is what the handshake said, which never says an address.
func (s Settings) verify(state tls.ConnectionState, host string) error {
	authorities, err := config.ReadCertificates(s.CAFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return fmt.Errorf("%s: expected certificates in PEM", s.CAFile)
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the member has no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: intermediates})
	return err
}
