// Package pinned is TLS between two machines that know each other's keys, and
// keeps its connections.
//
// Each side has an Ed25519 key and a list of the other side's, by the SHA-256 of
// the public key: no authority, no names, no dates. The entry points are
// [KeyFile], [Client], [Server] and [Pool]. The package promises that both keys are
// compared in each handshake, that there is no way past that (TLS 1.3 alone, no
// resumption), and that a key counts as it is in its file now. It does not care
// which of the two machines dialled.
package pinned

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/otpgate/otpgate/internal/config"
)

// protocol is what both sides must mean to speak (RFC 7301).
const protocol = "otpgate/1"

// Key is a machine's own key.
type Key struct {
	certificate tls.Certificate
	// Hash is what the other side lists.
	Hash config.KeyHash
}

const pemType = "PRIVATE KEY"

// NewKey draws a key and returns it in the form of its file, PKCS #8 in PEM.
func NewKey() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ParseKey reads the form of NewKey.
func ParseKey(text []byte) (*Key, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemType || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("expected one PRIVATE KEY in PEM and nothing else")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("expected a key in PKCS #8, as otpctl client init writes it")
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("expected a key of Ed25519, found one of %T", parsed)
	}
	return newKey(private)
}

// newKey makes the certificate that TLS wants. Nobody looks at more of it than the
// key, so it says nothing, for ever.
func newKey(private ed25519.PrivateKey) (*Key, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("make the certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the certificate: %w", err)
	}
	return &Key{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf},
		Hash:        sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
	}, nil
}

// Known says whether the other side's key may be there. Its error ends the handshake.
type Known func(config.KeyHash) error

// Server is the TLS server's side of a connection. The handshake is still to be done,
// within the connection's deadline.
func Server(conn net.Conn, key *Key, known Known) *tls.Conn {
	return tls.Server(conn, settings(key, known))
}

// Client is the TLS client's side.
func Client(conn net.Conn, key *Key, known Known) *tls.Conn {
	return tls.Client(conn, settings(key, known))
}

func settings(key *Key, known Known) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{key.certificate},
		NextProtos:   []string{protocol},
		ClientAuth:   tls.RequireAnyClientCert,
		// A resumed session has no handshake in which keys are compared.
		SessionTicketsDisabled: true,
		// Names, dates and authorities mean nothing here: VerifyConnection, which is
		// called in each handshake, compares the key.
		InsecureSkipVerify: true,
		VerifyConnection:   func(state tls.ConnectionState) error { return verify(state, known) },
	}
}

func verify(state tls.ConnectionState, known Known) error {
	switch {
	case state.Version != tls.VersionTLS13 || state.DidResume:
		return errors.New("expected a whole handshake of TLS 1.3")
	case state.NegotiatedProtocol != protocol:
		return fmt.Errorf("the other side does not speak %s", protocol)
	case len(state.PeerCertificates) == 0:
		return errors.New("the other side shows no key")
	}
	leaf := state.PeerCertificates[0]
	if _, ok := leaf.PublicKey.(ed25519.PublicKey); !ok {
		return errors.New("the other side's key is not of Ed25519")
	}
	return known(sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
}

// PeerKey is the key of the other side, after the handshake.
func PeerKey(conn *tls.Conn) (hash config.KeyHash, found bool) {
	state := conn.ConnectionState()
	if !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return config.KeyHash{}, false
	}
	return sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo), true
}
