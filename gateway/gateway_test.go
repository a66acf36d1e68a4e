package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// patience is for what should come at once. It is long because the processors may be
// busy.
const patience = 2 * time.Minute

// unhurried are the usual limits, but for the times: none of them is over because the
// machine stood still for a while.
var unhurried = func() limits {
	l := usual
	l.handshakes.Time, l.idle, l.opening, l.queue = patience, patience, patience, patience
	return l
}()

// records is a log that can be read.
type records struct {
	mu  sync.Mutex
	all []audit.Record
}

func (r *records) Write(record audit.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, record)
}

// copy is all that the log has.
func (r *records) copy() []audit.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// expect waits for a line by that rule.
func (r *records) expect(t *testing.T, rule, reason string) {
	t.Helper()
	testwait.Until(t, "rule="+rule+" in the log: "+reason, func() bool {
		return slices.ContainsFunc(r.copy(), func(record audit.Record) bool {
			return record.Rule == rule && strings.Contains(record.Reason, reason)
		})
	})
}

// rig is a gateway of this process, its verifier a test's.
type rig struct {
	gateway *gateway
	log     *records
	dir     string
	address string
	server  config.KeyHash
	key     *pinned.Key // web1's
	accept  net.Listener
}

func newKey(t *testing.T, path string) *pinned.Key {
	t.Helper()
	text, err := pinned.NewKey()
	if err == nil && path != "" {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	key, err := pinned.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newRig starts a gateway that knows web1. verifier answers each of its connections;
// without one there is none.
func newRig(t *testing.T, limits limits, change func(*clients.Client), verifier func(net.Conn)) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{log: &records{}, dir: dir, key: newKey(t, "")}
	var settings config.Config
	settings.Paths.Socket = filepath.Join(dir, "verifier.sock")
	settings.Gateway = &config.Gateway{Key: filepath.Join(dir, "gateway.key"), Clients: filepath.Join(dir, "clients")}
	r.server = newKey(t, settings.Gateway.Key).Hash
	r.save(t, change)
	if verifier != nil {
		listener, err := net.Listen("unix", settings.Paths.Socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go serveVerifier(listener, verifier)
	}
	r.gateway = newGateway(settings, limits, r.log)
	// No minute passes, however busy the machine is.
	now := time.Now()
	r.gateway.counts.now = func() time.Time { return now }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	r.accept, r.address = listener, listener.Addr().String()
	go r.gateway.accept(listener.(*net.TCPListener))
	return r
}

// save writes web1's file.
func (r *rig) save(t *testing.T, change func(*clients.Client)) {
	t.Helper()
	client := clients.Default()
	client.Client, client.Keys = "web1", []config.KeyHash{r.key.Hash}
	if change != nil {
		change(&client)
	}
	if err := clients.Save(filepath.Join(r.dir, "clients"), client); err != nil {
		t.Fatal(err)
	}
}

// dial makes a connection as whoever has that key.
func (r *rig) dial(t *testing.T, key *pinned.Key) *tls.Conn {
	t.Helper()
	bare, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bare.Close() })
	_ = bare.SetDeadline(time.Now().Add(patience))
	return pinned.Client(bare, key, func(hash config.KeyHash) error {
		if hash != r.server {
			return errors.New("another server")
		}
		return nil
	})
}

func ask(conn net.Conn) (remotewire.Answer, error) {
	return remotewire.Ask(conn, remotewire.Take{ID: remotewire.ID{7}})
}

// takes is a verifier that takes what web1 asks for, asks for a code, and accepts.
func takes(t *testing.T) func(net.Conn) {
	return func(conn net.Conn) {
		take, err := remotewire.ReadTake(conn)
		if err != nil || take.Client != "web1" || take.ID != (remotewire.ID{7}) {
			t.Errorf("the verifier was asked %+v, %v", take, err)
			return
		}
		if remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"}) != nil {
			return
		}
		begin, err := remotewire.ReadBegin(conn)
		if err != nil {
			return
		}
		peer := wire.Peer{Stream: conn}
		if reply, err := peer.Ask(wire.EchoOff, "Code: "); err == nil && reply.Text == "123456" && begin.Start.User == "alice" {
			_ = remotewire.End(peer, remotewire.Outcome{Verdict: wire.Accept, Rule: "totp:phone"})
		}
	}
}

// typist gives one answer.
type typist struct{}

func (typist) Ask(wire.Style, string) (wire.Reply, error) {
	return wire.Reply{Status: wire.Answered, Text: "123456"}, nil
}
func (typist) Tell(wire.Style, string) error { return nil }
func (typist) Tail(int, int, string) (string, bool, error) {
	return "", false, errors.New("not asked for")
}

func login(t *testing.T, conn net.Conn) {
	t.Helper()
	answer, err := ask(conn)
	if err != nil || !answer.Taken || answer.Ledger != "one" {
		t.Fatalf("%+v, %v", answer, err)
	}
	if err := remotewire.WriteBegin(conn, remotewire.Begin{Start: wire.Start{User: "alice", Service: "sshd", Timeout: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	outcome, err := remotewire.Relay(conn, typist{})
	if want := (remotewire.Outcome{Verdict: wire.Accept, Rule: "totp:phone"}); outcome != want || err != nil {
		t.Fatalf("%+v, %v", outcome, err)
	}
}

// One connection serves one login after the other, until the client's file is gone.
func TestLogins(t *testing.T) {
	r := newRig(t, unhurried, nil, takes(t))
	conn := r.dial(t, r.key)
	for range 3 {
		login(t, conn)
	}
	if err := clients.Remove(filepath.Join(r.dir, "clients"), "web1"); err != nil {
		t.Fatal(err)
	}
	if answer, err := ask(conn); err == nil {
		t.Errorf("answered without a file: %+v", answer)
	}
	r.log.expect(t, "gateway.clients", "no such client")
}

func TestStrangersGetNowhere(t *testing.T) {
	r := newRig(t, unhurried, nil, takes(t))
	if answer, err := ask(r.dial(t, newKey(t, ""))); err == nil {
		t.Errorf("a stranger was answered %+v", answer)
	}
	r.log.expect(t, "gateway.clients", "no such client")
	r.save(t, func(c *clients.Client) {
		var elsewhere config.Network
		if err := elsewhere.UnmarshalText([]byte("192.0.2.0/24")); err != nil {
			t.Fatal(err)
		}
		c.Addresses = []config.Network{elsewhere}
	})
	if answer, err := ask(r.dial(t, r.key)); err == nil {
		t.Errorf("from another address: %+v", answer)
	}
	r.log.expect(t, "gateway.clients", "the key is that of web1")
}

// What a client's file bounds is refused with a word, and the connection goes on.
func TestLimits(t *testing.T) {
	r := newRig(t, unhurried, func(c *clients.Client) { c.PerMinute, c.Dialogues = 3, 1 }, takes(t))
	first, second := r.dial(t, r.key), r.dial(t, r.key)
	if answer, err := ask(first); err != nil || !answer.Taken {
		t.Fatalf("%+v, %v", answer, err)
	}
	if answer, err := ask(second); err != nil || answer.Busy != "web1 has 1 logins open" || !answer.Full {
		t.Errorf("%+v, %v", answer, err)
	}
	r.log.expect(t, "client.dialogues", "web1 has 1 logins open")
	first.NetConn().Close()
	// The gateway notices a moment later.
	for taken := 0; taken < 2; {
		answer, err := ask(second)
		switch {
		case err != nil:
			t.Fatal(err)
		case answer.Taken:
			taken++
			second.NetConn().Close()
			second = r.dial(t, r.key)
		case strings.Contains(answer.Busy, "in a minute"):
			t.Fatalf("after %d logins: %+v", taken+1, answer)
		}
	}
	for {
		answer, err := ask(second)
		if err != nil || answer.Taken {
			t.Fatalf("a fourth in a minute: %+v, %v", answer, err)
		}
		if strings.Contains(answer.Busy, "began more than 3 logins in a minute") {
			if !answer.Full {
				t.Errorf("%+v does not say that the server can be reached", answer)
			}
			break
		}
	}
}

// Connections that show no key are few of one address, and end in time.
func TestHandshakes(t *testing.T) {
	limits := unhurried
	limits.handshakes.PerSource = 4
	r := newRig(t, limits, nil, takes(t))
	for range 20 {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	r.log.expect(t, "gateway.handshakes", "have not shown their key yet")
	limits.handshakes.Time = time.Millisecond
	short := newRig(t, limits, nil, takes(t))
	conn, err := net.Dial("tcp", short.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("one that says nothing is kept")
	}
}

func TestNoVerifier(t *testing.T) {
	r := newRig(t, unhurried, nil, nil)
	if answer, err := ask(r.dial(t, r.key)); err != nil || answer.Full || answer.Busy != "its verifier does not answer" {
		t.Errorf("%+v, %v", answer, err)
	}
	r.log.expect(t, "gateway.verifier", "no such file")
	dies := newRig(t, unhurried, nil, func(net.Conn) {})
	if answer, err := ask(dies.dial(t, dies.key)); err != nil || answer.Full || answer.Busy != "its verifier does not answer" {
		t.Errorf("%+v, %v", answer, err)
	}
}

// What is no frame of a client's ends its connection.
func TestGarbage(t *testing.T) {
	r := newRig(t, unhurried, nil, takes(t))
	named := r.dial(t, r.key)
	if answer, err := remotewire.Ask(named, remotewire.Take{ID: remotewire.ID{7}, Client: "web2"}); err == nil {
		t.Errorf("a client that names itself was answered %+v", answer)
	}
	r.log.expect(t, "gateway.frames", "a client that names itself")
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x01\x00\x00\x01\x01", "\x20\xff\xff\xff"} {
		conn := r.dial(t, r.key)
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%q was answered", text)
		}
	}
	login(t, r.dial(t, r.key))
}

// serveVerifier has verifier answer each connection until the listener is closed.
func serveVerifier(listener net.Listener, verifier func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			verifier(conn)
		}()
	}
}

// Whoever is typing when the gateway is told to end may finish, and nobody else.
func TestDrain(t *testing.T) {
	r := newRig(t, unhurried, nil, takes(t))
	idle, typing := r.dial(t, r.key), r.dial(t, r.key)
	if err := idle.Handshake(); err != nil {
		t.Fatal(err)
	}
	if answer, err := ask(typing); err != nil || !answer.Taken {
		t.Fatalf("%+v, %v", answer, err)
	}
	r.drains(t, idle, typing)
}

// drains has the gateway end while somebody types over one connection, and none logs in
// over another one.
func (r *rig) drains(t *testing.T, idle, typing net.Conn) {
	t.Helper()
	r.accept.Close()
	done := make(chan error, 1)
	go func() { done <- r.gateway.drain(patience) }()
	if n, err := idle.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a connection without a login goes on")
	}
	if err := remotewire.WriteBegin(typing, remotewire.Begin{Start: wire.Start{User: "alice", Service: "sshd", Timeout: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	if outcome, err := remotewire.Relay(typing, typist{}); err != nil || outcome.Verdict != wire.Accept {
		t.Errorf("%+v, %v", outcome, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// It runs as the user whom the verifier believes, and so never as root.
func TestCheckUser(t *testing.T) {
	if err := checkUser("daemon", 1); err != nil {
		t.Error(err)
	}
	for name, uid := range map[string]int{"daemon": 0, "no-such-user-here": 1} {
		if err := checkUser(name, uid); err == nil || !strings.Contains(err.Error(), "gateway.user") {
			t.Errorf("%s as %d: %v", name, uid, err)
		}
	}
}
