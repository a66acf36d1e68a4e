package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/testwait"
)

// lines are a log.
type lines struct {
	mu  sync.Mutex
	all []audit.Record
}

func (l *lines) Write(r audit.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all strings.Builder
	for _, r := range l.all {
		all.WriteString(r.Line() + "\n")
	}
	return all.String()
}

// writePair writes a certificate for 127.0.0.1 with that serial number, and its key.
func writePair(t *testing.T, dir string, serial int64) (certificateFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "portal"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificateFile, keyFile = filepath.Join(dir, "portal.pem"), filepath.Join(dir, "portal.key")
	for path, block := range map[string]*pem.Block{certificateFile: {Type: "CERTIFICATE", Bytes: certificate}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificateFile, keyFile
}

func serial(t *testing.T, k *keyPair) int64 {
	t.Helper()
	pair, err := k.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.Int64()
}

// A certificate that was renewed is shown from then on; one whose key is not there yet is not.
func TestRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	var p config.Portal
	p.CertificateFile, p.KeyFile = writePair(t, dir, 1)
	log := &lines{}
	k, err := newKeyPair(p, log)
	if err != nil || serial(t, k) != 1 {
		t.Fatal(err)
	}
	// The files count as old enough for any change to be seen by their times, or not.
	for _, later := range []time.Duration{0, time.Hour} {
		k.now = func() time.Time { return time.Now().Add(later) }
		writePair(t, dir, 2)
		if got := serial(t, k); got != 2 {
			t.Errorf("the certificate %d is shown, expected 2", got)
		}
		if err := os.WriteFile(p.KeyFile, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := serial(t, k); got != 2 || !strings.Contains(log.text(), "the one before is still shown") {
			t.Errorf("the certificate %d is shown, expected 2; the log says %q", got, log.text())
		}
		if err := os.Remove(p.KeyFile); err != nil {
			t.Fatal(err)
		}
		if got := serial(t, k); got != 2 {
			t.Errorf("the certificate %d is shown, expected 2", got)
		}
		writePair(t, dir, 3)
		if got := serial(t, k); got != 3 {
			t.Errorf("the certificate %d is shown, expected 3", got)
		}
	}
}

func TestCertificateRefused(t *testing.T) {
	var p config.Portal
	if k, err := newKeyPair(p, nil); k != nil || err != nil {
		t.Errorf("%v, %v", k, err)
	}
	p.CertificateFile, p.KeyFile = writePair(t, t.TempDir(), 1)
	if err := os.Chmod(p.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := newKeyPair(p, nil); err == nil || !strings.Contains(err.Error(), "portal.key_file: "+p.KeyFile) {
		t.Errorf("a key that all can read: %v", err)
	}
	_, p.KeyFile = writePair(t, t.TempDir(), 2)
	if _, err := newKeyPair(p, nil); err == nil || !strings.Contains(err.Error(), p.CertificateFile+" with "+p.KeyFile) {
		t.Errorf("a key of another certificate: %v", err)
	}
}

func TestListen(t *testing.T) {
	pair := &keyPair{}
	for _, test := range []struct {
		address string
		pair    *keyPair
		want    string
	}{
		{"127.0.0.1:0", nil, ""}, {"[::1]:0", nil, ""}, {":0", pair, ""}, {":0", nil, "without TLS"}, {"0.0.0.0:0", nil, "without TLS"},
		{"unix:" + filepath.Join(t.TempDir(), "http.sock"), nil, ""}, {"unix:/nowhere/http.sock", nil, "systemctl enable --now otpgate-portal.socket"},
	} {
		listeners, err := listen(test.address, test.pair)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, expected %q", test.address, err, test.want)
		}
		for _, l := range listeners {
			if at, ok := l.Addr().(*net.UnixAddr); ok {
				info, err := os.Stat(at.Name)
				if err != nil || info.Mode().Perm()&0o007 != 0 {
					t.Errorf("%s: %v, %v", at.Name, info.Mode(), err)
				}
			}
			l.Close()
		}
	}
}

// served is the program's server with a handler.
func served(t *testing.T, handler http.Handler, most int, sink audit.Sink) (address string, open *connections) {
	t.Helper()
	server := newServer(handler, sink)
	server.ReadHeaderTimeout, server.ReadTimeout = 0, 0 // they would end connections on a busy machine
	open = newConnections(most)
	server.ConnState, server.ConnContext = open.state, open.context
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String(), open
}

// dialled sends what is given on a new connection.
func dialled(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

// Whoever holds connections without a request keeps nobody out, and whoever waits for an
// answer gets it.
func TestManyConnections(t *testing.T) {
	answers, asked := make(chan bool), make(chan bool, 10)
	address, open := served(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer asks(r.Context())()
		asked <- true
		<-answers
	}), 3, &lines{})
	working := dialled(t, address, get)
	<-asked
	slow := dialled(t, address, get[:10])
	waitFor(t, open, 2)
	idle := dialled(t, address, "")
	waitFor(t, open, 3)
	for _, held := range []net.Conn{slow, idle} {
		another := dialled(t, address, get)
		<-asked
		if isOpen(open, held) || !isOpen(open, working) || !isOpen(open, another) {
			t.Error("another connection was closed than the one that was without a request for longest")
		}
		_, _ = io.ReadAll(held) // it ends; how is the kernel's to say
	}
	close(answers)
	response, err := http.ReadResponse(bufio.NewReader(working), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", response, err)
	}
}

// isOpen says whether a client's connection is one that is open.
func isOpen(open *connections, client net.Conn) bool {
	open.mu.Lock()
	defer open.mu.Unlock()
	for conn := range open.open {
		if conn.RemoteAddr().String() == client.LocalAddr().String() {
			return true
		}
	}
	return false
}

// waitFor waits until that many connections are open: the kernel takes them before.
func waitFor(t *testing.T, open *connections, count int) {
	t.Helper()
	testwait.Until(t, fmt.Sprintf("%d connections are open", count), func() bool {
		open.mu.Lock()
		defer open.mu.Unlock()
		return len(open.open) == count
	})
}

// The page is shown over TLS, by HTTP/2 too, and its connections are counted.
func TestTLS(t *testing.T) {
	var p config.Portal
	dir := t.TempDir()
	p.CertificateFile, p.KeyFile = writePair(t, dir, 1)
	p.URL, p.Socket = "https://127.0.0.1", filepath.Join(dir, "nobody.sock")
	log := &lines{}
	pair, err := newKeyPair(p, log)
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := listen("127.0.0.1:0", pair)
	if err != nil {
		t.Fatal(err)
	}
	page, err := newPage(p, log)
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(page, log)
	go server.Serve(listeners[0])
	t.Cleanup(func() { server.Close() })
	trusted := x509.NewCertPool()
	certificate, err := os.ReadFile(p.CertificateFile)
	if err != nil || !trusted.AppendCertsFromPEM(certificate) {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	at := "https://" + listeners[0].Addr().String()
	response, err := (&http.Client{Transport: transport}).Get(at + "/l/x")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("HTTP %d: %d, %v", response.ProtoMajor, response.StatusCode, response.Header)
	}
	if said := log.text(); !strings.Contains(said, "remote=127.0.0.1 verdict=fault rule=portal") || !strings.Contains(said, p.Socket) {
		t.Errorf("the log says %q", said)
	}
	// Who shakes no hands is told of, and not as a fault.
	plain := dialled(t, listeners[0].Addr().String(), get)
	_, _ = io.ReadAll(plain)
	testwait.Until(t, "the log tells of a failed handshake", func() bool { return strings.Contains(log.text(), "rule=portal.handshake") })
}

// The verifier is waited for longer than it takes for an answer.
func TestAnswerTime(t *testing.T) {
	if answerTime <= portalwire.Patience+5*portalwire.Transfer {
		t.Errorf("answers are given up after %v", answerTime)
	}
}
