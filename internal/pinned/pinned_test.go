package pinned

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/testwait"
)

func newTestKey(t *testing.T) *Key {
	t.Helper()
	text, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var errStranger = errors.New("a stranger")

// only knows one key.
func only(key *Key) Known {
	return func(hash config.KeyHash) error {
		if hash == key.Hash {
			return nil
		}
		return errStranger
	}
}

// pair is two ends of a TCP connection on the loopback.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = Dial(t.Context(), listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := KeepAlive(server.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// meet has both sides shake hands, and the client read a byte that the server sends
// once it is content.
func meet(t *testing.T, client, server *tls.Conn) (atClient, atServer error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte{1})
		}
		if err != nil {
			server.NetConn().Close()
		}
		done <- err
	}()
	_, atClient = io.ReadFull(client, make([]byte, 1))
	client.NetConn().Close()
	return atClient, <-done
}

func TestMeet(t *testing.T) {
	a, b := newTestKey(t), newTestKey(t)
	client, server := pair(t)
	clientTLS, serverTLS := Client(client, a, only(b)), Server(server, b, only(a))
	if atClient, atServer := meet(t, clientTLS, serverTLS); atClient != nil || atServer != nil {
		t.Fatalf("%v, %v", atClient, atServer)
	}
	if hash, found := PeerKey(serverTLS); !found || hash != a.Hash {
		t.Errorf("%v %v", hash, found)
	}
	if hash, found := PeerKey(clientTLS); !found || hash != b.Hash {
		t.Errorf("%v %v", hash, found)
	}
}

func TestStrangers(t *testing.T) {
	a, b, c := newTestKey(t), newTestKey(t), newTestKey(t)
	for name, test := range map[string]struct{ client, server func(net.Conn) *tls.Conn }{
		"the client": {func(conn net.Conn) *tls.Conn { return Client(conn, c, only(b)) }, func(conn net.Conn) *tls.Conn { return Server(conn, b, only(a)) }},
		"the server": {func(conn net.Conn) *tls.Conn { return Client(conn, a, only(b)) }, func(conn net.Conn) *tls.Conn { return Server(conn, c, only(a)) }},
	} {
		client, server := pair(t)
		atClient, atServer := meet(t, test.client(client), test.server(server))
		if atClient == nil || atServer == nil || !errors.Is(atClient, errStranger) && !errors.Is(atServer, errStranger) {
			t.Errorf("%s: %v, %v", name, atClient, atServer)
		}
	}
}

// other is a client that is not of this package.
func other(t *testing.T, change func(*tls.Config)) func(net.Conn, *Key) *tls.Conn {
	t.Helper()
	return func(conn net.Conn, key *Key) *tls.Conn {
		config := &tls.Config{Certificates: []tls.Certificate{key.certificate}, NextProtos: []string{protocol}, InsecureSkipVerify: true}
		change(config)
		return tls.Client(conn, config)
	}
}

func TestNoOtherWay(t *testing.T) {
	elliptic := ellipticKey(t)
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.2":          func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"no protocol":      func(c *tls.Config) { c.NextProtos = nil },
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"no certificate":   func(c *tls.Config) { c.Certificates = nil },
		"an elliptic key":  func(c *tls.Config) { c.Certificates = []tls.Certificate{elliptic} },
	} {
		a, b := newTestKey(t), newTestKey(t)
		client, server := pair(t)
		anybody := func(config.KeyHash) error { return nil }
		atClient, atServer := meet(t, other(t, change)(client, a), Server(server, b, anybody))
		if atClient == nil || atServer == nil {
			t.Errorf("%s: %v, %v", name, atClient, atServer)
		}
	}
	// Without any change it is let in, so it is the change that is refused.
	a, b := newTestKey(t), newTestKey(t)
	client, server := pair(t)
	if atClient, atServer := meet(t, other(t, func(*tls.Config) {})(client, a), Server(server, b, only(a))); atClient != nil || atServer != nil {
		t.Errorf("unchanged: %v, %v", atClient, atServer)
	}
}

func ellipticKey(t *testing.T) tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// A client that keeps sessions is given none to come back with: the key is looked
// at again.
func TestNoResumption(t *testing.T) {
	a, b := newTestKey(t), newTestKey(t)
	cache := &countingCache{ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	keeps := other(t, func(c *tls.Config) { c.ClientSessionCache, c.ServerName = cache, "server" })
	for range 2 {
		client, server := pair(t)
		looked := false
		known := func(config.KeyHash) error { looked = true; return nil }
		if atClient, atServer := meet(t, keeps(client, a), Server(server, b, known)); atClient != nil || atServer != nil || !looked {
			t.Errorf("%v, %v, looked %v", atClient, atServer, looked)
		}
	}
	if cache.put > 0 {
		t.Errorf("%d sessions were given", cache.put)
	}
}

type countingCache struct {
	tls.ClientSessionCache
	put int
}

func (c *countingCache) Put(key string, state *tls.ClientSessionState) {
	if state != nil {
		c.put++
	}
	c.ClientSessionCache.Put(key, state)
}

func TestParseKeyRefuses(t *testing.T) {
	good, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "text": "hello", "two": string(good) + string(good), "cut": string(good[:40]),
		"elliptic":    string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})),
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"garbage":     string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: []byte("secret")})),
	} {
		if key, err := ParseKey([]byte(text)); err == nil || key != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
}

// A key that was replaced counts from the next connection on, and one that is gone
// is none.
func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client.key")
	file := NewKeyFile(path)
	if _, err := file.Key(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	var last config.KeyHash
	later := time.Now().Add(time.Hour)
	file.now = func() time.Time { return later }
	for range 3 {
		text, err := NewKey()
		if err != nil {
			t.Fatal(err)
		}
		// As an editor does it: another file takes the name.
		if err := errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
		key, err := file.Key()
		if err != nil || key.Hash == last {
			t.Fatalf("%v, %v", key, err)
		}
		last = key.Hash
		if again, err := file.Key(); err != nil || again != key {
			t.Errorf("read again: %v, %v", again, err)
		}
	}
	testwait.Tick(t, path)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Key(); err == nil || !strings.Contains(err.Error(), "mode 0644") {
		t.Errorf("readable by all: %v", err)
	}
}
