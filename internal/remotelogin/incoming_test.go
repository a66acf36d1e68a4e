package remotelogin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/handshake"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/testaddress"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

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

// expect waits for a line by that rule.
func (r *records) expect(t *testing.T, rule, reason string) {
	t.Helper()
	testwait.Until(t, rule+" "+reason, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, record := range r.all {
			if record.Rule == rule && strings.Contains(record.Reason, reason) {
				return true
			}
		}
		return false
	})
}

// unhurried are the usual limits, but for the time, which is not over because the machine
// stood still for a while.
var unhurried = func() handshake.Limits {
	l := handshake.Usual
	l.Time = patience
	return l
}()

// listening is a client that servers dial.
type listening struct {
	*Servers
	log *records
	key *pinned.Key // its own
}

// newListening knows the fakes as servers that dial, and dials those of dialled.
func newListening(t *testing.T, timeout time.Duration, limits handshake.Limits, dialled []*fake, fakes ...*fake) *listening {
	t.Helper()
	text, key := newKey(t)
	path := filepath.Join(t.TempDir(), "client.key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	settings := config.Remote{Key: path, Timeout: config.Duration{Duration: timeout}, Listen: []string{testaddress.Kept(t, "127.0.0.1")}}
	for _, f := range dialled {
		settings.Servers = append(settings.Servers, f.address())
	}
	for _, f := range append(fakes, dialled...) {
		settings.ServerKeys = append(settings.ServerKeys, f.key.Hash)
	}
	l := &listening{Servers: serversOf(settings), log: &records{}, key: key}
	l.next, l.again = patience, patience
	l.Servers.listen(limits, l.log)
	t.Cleanup(l.Close)
	return l
}

func (l *listening) address() string {
	l.incoming.mu.Lock()
	defer l.incoming.mu.Unlock()
	for _, one := range l.incoming.listeners {
		return one.Addr().String()
	}
	return ""
}

// dial has a fake dial the client, and do with the connection what it does.
func (f *fake) dial(t *testing.T, l *listening) net.Conn {
	t.Helper()
	bare, err := net.Dial("tcp", l.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bare.Close() })
	f.conns.Add(1)
	go func() {
		defer bare.Close()
		(*f.do.Load())(f, pinned.Client(bare, f.key, func(hash config.KeyHash) error { return nil }))
	}()
	return bare
}

// arrives waits until the client has n connections of the fake that wait.
func (l *listening) arrives(t *testing.T, f *fake, n int) {
	t.Helper()
	testwait.Until(t, "the server's connections", func() bool { return l.waiting(f) == n })
}

func (l *listening) waiting(f *fake) int {
	for _, server := range l.all {
		if server.dials && server.key == f.key.Hash {
			return server.pool.Len()
		}
	}
	return 0
}

// begin starts a login, and gives what is wrong at its end.
func begin(ctx context.Context, l *listening) (ended <-chan error) {
	done := make(chan error, 1)
	go func() {
		_, _, _, err := login(ctx, l.Servers)
		done <- err
	}()
	return done
}

func expectAcceptedBy(t *testing.T, l *listening, by *fake) {
	t.Helper()
	before := by.begins.Load()
	outcome, server, asked, err := login(t.Context(), l.Servers)
	if outcome.Verdict != wire.Accept || outcome.Rule != "totp:phone" || server != "127.0.0.1" || asked != 1 || err != nil || by.begins.Load() != before+1 {
		t.Fatalf("%+v by %s after %d questions, %v", outcome, server, asked, err)
	}
}

// The connection of a server that dials serves one login after the other, and the
// first login waits for it.
func TestServerDials(t *testing.T) {
	server := newFake(t, accepts)
	l := newListening(t, patience, unhurried, nil, server)
	done := begin(t.Context(), l)
	server.dial(t, l)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range 2 {
		expectAcceptedBy(t, l, server)
	}
	if n := server.conns.Load(); n != 1 {
		t.Errorf("%d connections for three logins", n)
	}
}

// Connections that have ended, and one that ends when it is asked, cost no login: it goes
// over the next one.
func TestServerDialsAgain(t *testing.T) {
	server := newFake(t, accepts)
	l := newListening(t, patience, unhurried, nil, server)
	first := server.dial(t, l)
	l.arrives(t, server, 1)
	first.Close()
	l.arrives(t, server, 0)
	ends := diesAtTake
	server.do.Store(&ends)
	server.dial(t, l)
	l.arrives(t, server, 1)
	done := begin(t.Context(), l)
	testwait.Until(t, "the login has been asked for", func() bool { return server.takes.Load() == 1 })
	works := accepts
	server.do.Store(&works)
	server.dial(t, l)
	if err := <-done; err != nil || server.begins.Load() != 1 {
		t.Errorf("%v, and %d logins were begun", err, server.begins.Load())
	}
}

// A server that dials and does not answer, or takes none, is not waited for: the next
// one is asked, and first from then on.
func TestDialledFailOver(t *testing.T) {
	for name, do := range map[string]func(*fake, *tls.Conn){"mute": mute, "busy": busy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newFake(t, do), newFake(t, accepts)
			l := newListening(t, patience, unhurried, nil, first, second)
			l.next = usualNext
			first.dial(t, l)
			second.dial(t, l)
			l.arrives(t, first, 1)
			l.arrives(t, second, 1)
			expectAcceptedBy(t, l, second)
			l.arrives(t, second, 1)
			expectAcceptedBy(t, l, second)
			if n := first.begins.Load(); n != 0 {
				t.Errorf("%d logins were begun at the first", n)
			}
		})
	}
}

// A server that dials beside one that is dialled: whichever takes the login.
func TestBothWays(t *testing.T) {
	dialled, dials := newFake(t, accepts), newFake(t, accepts)
	l := newListening(t, patience, unhurried, []*fake{dialled}, dials)
	outcome, server, _, err := login(t.Context(), l.Servers)
	if outcome.Verdict != wire.Accept || server != dialled.address() || err != nil {
		t.Fatalf("%+v by %s, %v", outcome, server, err)
	}
	dialled.listener.Close()
	gone := dies
	dialled.do.Store(&gone)
	l.all[0].pool.Close()
	dials.dial(t, l)
	expectAcceptedBy(t, l, dials)
}

// Servers of two ledgers are told apart whichever way the connections were made.
func TestLedgersOfServersThatDial(t *testing.T) {
	first, second := newFake(t, accepts), newFake(t, accepts)
	second.ledger.Store("two")
	l := newListening(t, patience, unhurried, nil, first, second)
	bare := first.dial(t, l)
	expectAcceptedBy(t, l, first)
	l.arrives(t, first, 1)
	bare.Close()
	l.arrives(t, first, 0)
	second.dial(t, l)
	denied := begin(t.Context(), l)
	testwait.Until(t, "the second is asked", func() bool { return second.takes.Load() == 1 })
	// The first is asked whether that is still so.
	first.dial(t, l)
	if err := <-denied; !errors.Is(err, errLedgers) || !strings.Contains(err.Error(), "has two") || second.begins.Load() != 0 {
		t.Errorf("%v, and %d logins were begun", err, second.begins.Load())
	}
}

// No server has dialled: the error says so within the time.
func TestNoServerHasDialled(t *testing.T) {
	server := newFake(t, accepts)
	l := newListening(t, time.Second, unhurried, nil, server)
	_, _, _, err := login(t.Context(), l.Servers)
	if want := "the server with the key " + server.key.Hash.String() + " has no connection to this machine open"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
	// It has, and refuses: the client's file was taken away there.
	refuses := diesAtTake
	server.do.Store(&refuses)
	l.settings.Timeout.Duration = patience
	server.dial(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	denied := begin(ctx, l)
	testwait.Until(t, "it is asked", func() bool { return server.takes.Load() == 1 })
	cancel()
	if err := <-denied; err == nil || !strings.Contains(err.Error(), "127.0.0.1: ") {
		t.Errorf("%v", err)
	}
}

// Whoever shows a key that is not listed gets nowhere, and those who show none take
// few places, for a bounded time.
func TestStrangersDial(t *testing.T) {
	server, stranger := newFake(t, accepts), newFake(t, accepts)
	limits := unhurried
	limits.PerSource = 4
	l := newListening(t, patience, limits, nil, server)
	stranger.dial(t, l)
	l.log.expect(t, "remote.server_keys", "its key is "+stranger.key.Hash.String())
	for range 20 {
		bare, err := net.Dial("tcp", l.address())
		if err != nil {
			t.Fatal(err)
		}
		defer bare.Close()
	}
	l.log.expect(t, "remote.handshakes", "have not shown their key yet")
	limits.Time = time.Millisecond
	short := newListening(t, patience, limits, nil, server)
	bare, err := net.Dial("tcp", short.address())
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if n, err := bare.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("one that says nothing is answered or kept: %d, %v", n, err)
	}
}

// Of more connections of a server than are kept the oldest are closed.
func TestServerDialsTooOften(t *testing.T) {
	server := newFake(t, hangs)
	l := newListening(t, patience, unhurried, nil, server)
	shake := func(_ *fake, conn *tls.Conn) {
		if conn.Handshake() == nil {
			_, _ = conn.Read(make([]byte, 1))
		}
	}
	server.do.Store(&shake)
	for range keptIncoming + 8 {
		server.dial(t, l)
	}
	l.arrives(t, server, keptIncoming)
}

// An address that cannot be listened at is said, and tried again.
func TestListenLater(t *testing.T) {
	taken, err := net.Listen("tcp", testaddress.Kept(t, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server := newFake(t, accepts)
	l := newListening(t, time.Second, unhurried, nil, server)
	l.incoming.retry = time.Millisecond
	address := taken.Addr().String()
	l.incoming.listen(address)
	l.log.expect(t, "remote.listen", "address already in use")
	if _, _, _, err := login(t.Context(), l.Servers); err == nil || !strings.Contains(err.Error(), "remote.listen: ") {
		t.Errorf("%v", err)
	}
	taken.Close()
	testwait.Until(t, "it listens", func() bool { return l.incoming.problem() == nil })
}

// After its end a client can listen at the same address at once, as when a
// configuration changes; and a login that has begun goes on.
func TestListenAnew(t *testing.T) {
	server := newFake(t, accepts)
	l := newListening(t, patience, unhurried, nil, server)
	server.dial(t, l)
	taken, err := l.Take(t.Context(), remotewire.Take{ID: remotewire.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	address := l.address()
	l.Close()
	settings := l.settings
	settings.Listen = []string{address}
	again := New(settings, l.log)
	defer again.Close()
	if err := again.incoming.problem(); err != nil {
		t.Error(err)
	}
	if outcome, err := taken.Run(remotewire.Begin{}, &typist{}, time.Now().Add(patience)); err != nil || outcome.Verdict != wire.Accept {
		t.Errorf("%+v, %v", outcome, err)
	}
}

// A login that finds no connection because the configuration has changed meanwhile says
// nothing of whether a server can be reached: with the new one it may be.
func TestClosedIsNotUnreachable(t *testing.T) {
	server := newFake(t, diesAtTake)
	l := newListening(t, patience, unhurried, nil, server)
	server.dial(t, l)
	denied := begin(t.Context(), l)
	testwait.Until(t, "it is asked", func() bool { return server.takes.Load() == 1 })
	l.Close()
	var unreachable UnreachableError
	if err := <-denied; err == nil || errors.As(err, &unreachable) || !strings.Contains(err.Error(), "the configuration has changed") {
		t.Errorf("%v", err)
	}
}

// A wait that ends takes no connection along.
func TestWaitLeavesConnections(t *testing.T) {
	server := newFake(t, accepts)
	l := newListening(t, patience, unhurried, nil, server)
	server.dial(t, l)
	l.arrives(t, server, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.ask(ctx, l.all[0], remotewire.Take{}); err == nil {
		t.Error("taken after the end")
	}
	if n := l.waiting(server); n != 1 {
		t.Errorf("%d connections are left", n)
	}
}
