package remotelogin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/testaddress"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// patience is for what should come at once. It is long because the processors may be
// busy.
const patience = time.Minute

// fake is a server in this process, which does with each connection what a test says.
type fake struct {
	listener net.Listener // nil if it does not listen
	at       string       // its address
	key      *pinned.Key
	client   config.KeyHash
	// takes and begins count what came.
	takes, begins, conns atomic.Int32
	ledger               atomic.Value
	do                   atomic.Pointer[func(f *fake, conn *tls.Conn)]
}

func newKey(t *testing.T) ([]byte, *pinned.Key) {
	t.Helper()
	text, err := pinned.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pinned.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return text, key
}

func newFake(t *testing.T, do func(f *fake, conn *tls.Conn)) *fake {
	t.Helper()
	_, key := newKey(t)
	listener, err := net.Listen("tcp", testaddress.Kept(t, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{listener: listener, at: listener.Addr().String(), key: key}
	f.ledger.Store("one")
	f.do.Store(&do)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			bare, err := listener.Accept()
			if err != nil {
				return
			}
			f.conns.Add(1)
			go func() {
				defer bare.Close()
				_ = bare.SetDeadline(time.Now().Add(patience))
				(*f.do.Load())(f, pinned.Server(bare, f.key, func(config.KeyHash) error { return nil }))
			}()
		}
	}()
	return f
}

func (f *fake) address() string { return f.at }

// takes answers Takes, and begins with an acceptance.
func accepts(f *fake, conn *tls.Conn) {
	for {
		if _, err := remotewire.ReadTake(conn); err != nil {
			return
		}
		f.takes.Add(1)
		if remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: f.ledger.Load().(string)}) != nil {
			return
		}
		if _, err := remotewire.ReadBegin(conn); err != nil {
			return
		}
		f.begins.Add(1)
		peer := wire.Peer{Stream: conn}
		if reply, err := peer.Ask(wire.EchoOff, "Code: "); err != nil || reply.Text != "123456" {
			return
		}
		if remotewire.End(peer, remotewire.Outcome{Verdict: wire.Accept, Rule: "totp:phone"}) != nil {
			return
		}
	}
}

// hangs takes the connection and never says a word.
func hangs(_ *fake, conn *tls.Conn) {
	_, _ = io.Copy(io.Discard, conn.NetConn())
}

// mute shakes hands, and says nothing to a Take.
func mute(f *fake, conn *tls.Conn) {
	if _, err := remotewire.ReadTake(conn); err == nil {
		f.takes.Add(1)
		_, _ = io.Copy(io.Discard, conn)
	}
}

// dies ends each connection at once, and diesAtTake at the first frame.
func dies(*fake, *tls.Conn) {}

func diesAtTake(f *fake, conn *tls.Conn) {
	if _, err := remotewire.ReadTake(conn); err == nil {
		f.takes.Add(1)
	}
}

// busy says that it takes none.
func busy(f *fake, conn *tls.Conn) {
	for {
		if _, err := remotewire.ReadTake(conn); err != nil {
			return
		}
		f.takes.Add(1)
		if remotewire.WriteAnswer(conn, remotewire.Answer{Busy: "its ledger is out of reach"}) != nil {
			return
		}
	}
}

// diesAtBegin takes a login and ends with the opening; diesAtPrompt asks first.
func diesAtBegin(f *fake, conn *tls.Conn) {
	if _, err := remotewire.ReadTake(conn); err != nil {
		return
	}
	f.takes.Add(1)
	if remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"}) != nil {
		return
	}
	if _, err := remotewire.ReadBegin(conn); err == nil {
		f.begins.Add(1)
	}
}

func diesAtPrompt(f *fake, conn *tls.Conn) {
	diesAtBegin(f, conn)
	_, _ = wire.Peer{Stream: conn}.Ask(wire.EchoOff, "Code: ")
}

// newServers are those of a client that knows the fakes.
func newServers(t *testing.T, timeout time.Duration, fakes ...*fake) *Servers {
	t.Helper()
	text, _ := newKey(t)
	path := filepath.Join(t.TempDir(), "client.key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	settings := config.Remote{Key: path, Timeout: config.Duration{Duration: timeout}}
	for _, f := range fakes {
		settings.Servers = append(settings.Servers, f.address())
		settings.ServerKeys = append(settings.ServerKeys, f.key.Hash)
	}
	s := New(settings, discard{})
	// However busy the machine is, nobody is asked because another one is late.
	s.next, s.again = patience, patience
	for _, server := range s.all {
		server.pool.Idle = 0 // nor is a connection let go of
	}
	t.Cleanup(s.Close)
	return s
}

type discard struct{}

func (discard) Write(audit.Record) {}

// typist answers, and counts how often it was asked.
type typist struct{ asked int }

func (p *typist) Ask(wire.Style, string) (wire.Reply, error) {
	p.asked++
	return wire.Reply{Status: wire.Answered, Text: "123456"}, nil
}
func (p *typist) Tell(wire.Style, string) error { return nil }
func (p *typist) Tail(int, int, string) (string, bool, error) {
	return "", false, errors.New("not asked for")
}

func login(ctx context.Context, s *Servers) (outcome remotewire.Outcome, server string, asked int, err error) {
	taken, err := s.Take(ctx, remotewire.Take{ID: remotewire.NewID()})
	if err != nil {
		return outcome, "", 0, err
	}
	person := &typist{}
	outcome, err = taken.Run(remotewire.Begin{}, person, time.Now().Add(patience))
	return outcome, taken.Server, person.asked, err
}

func expectAccepted(t *testing.T, s *Servers, by *fake) {
	t.Helper()
	outcome, server, asked, err := login(t.Context(), s)
	if want := (remotewire.Outcome{Verdict: wire.Accept, Rule: "totp:phone"}); outcome != want || server != by.address() || asked != 1 || err != nil {
		t.Fatalf("%+v by %s after %d questions, %v; expected acceptance by %s", outcome, server, asked, err, by.address())
	}
}

// Until a server has taken the login the next one is asked, whatever is the matter
// with the first, which has begun nothing.
func TestFailOverBeforeTaken(t *testing.T) {
	for name, do := range map[string]func(*fake, *tls.Conn){
		"hangs": hangs, "mute": mute, "dies": dies, "dies at take": diesAtTake, "busy": busy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newFake(t, do), newFake(t, accepts)
			s := newServers(t, patience, first, second)
			s.next = usualNext
			expectAccepted(t, s, second)
			if n := first.begins.Load(); n != 0 {
				t.Errorf("%d logins were begun at the first", n)
			}
			// The one that answered is asked first now, over the same connection.
			expectAccepted(t, s, second)
			if n := second.conns.Load(); n != 1 {
				t.Errorf("%d connections for two logins", n)
			}
			if begun := second.begins.Load(); begun != 2 {
				t.Errorf("%d logins were begun", begun)
			}
		})
	}
}

// From the opening on, a dialogue that breaks is a denial, and nobody else is asked.
func TestFailOverNeverAfterTaken(t *testing.T) {
	for name, test := range map[string]struct {
		do    func(*fake, *tls.Conn)
		asked int
	}{"at the opening": {diesAtBegin, 0}, "at the prompt": {diesAtPrompt, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newFake(t, test.do), newFake(t, accepts)
			s := newServers(t, patience, first, second)
			outcome, server, _, err := login(t.Context(), s)
			var engine remotewire.EngineError
			if outcome != (remotewire.Outcome{}) || server != first.address() || !errors.As(err, &engine) {
				t.Errorf("%+v by %s, %v", outcome, server, err)
			}
			if n := second.takes.Load(); n != 0 {
				t.Errorf("the second was asked %d times", n)
			}
		})
	}
}

// No server: the error says of each why.
func TestFailOverToNobody(t *testing.T) {
	gone := newGone(t)
	hanging, silent, full := newFake(t, hangs), newFake(t, mute), newFake(t, busy)
	all := []*fake{gone, hanging, silent, full}
	s := newServers(t, patience, all...)
	s.next = time.Millisecond
	var refused atomic.Bool
	s.dial = func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := pinned.Dial(ctx, address)
		refused.Store(refused.Load() || address == gone.address())
		return conn, err
	}
	// The time is over once each has done what it does.
	ctx, end := context.WithCancel(t.Context())
	defer end()
	denied := make(chan error, 1)
	go func() {
		_, _, _, err := login(ctx, s)
		denied <- err
	}()
	testwait.Until(t, "each was asked", func() bool {
		return refused.Load() && hanging.conns.Load() == 1 && silent.takes.Load() == 1 && s.all[3].pool.Len() == 1
	})
	end()
	err := <-denied
	if err == nil {
		t.Fatal("taken by nobody")
	}
	for i, want := range []string{"connect: connection refused", "", "did not answer in time", "it takes no login: its ledger is out of reach"} {
		if !strings.Contains(err.Error(), all[i].address()) || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %s with %q in %v", all[i].address(), want, err)
		}
	}
}

// Nobody is waited for beyond the time that the configuration gives.
func TestFailOverEnds(t *testing.T) {
	s := newServers(t, time.Second, newFake(t, hangs), newFake(t, mute))
	s.next = time.Millisecond
	if _, _, _, err := login(t.Context(), s); err == nil {
		t.Error("taken by nobody")
	}
}

// A connection that was kept and is dead by now costs no login.
func TestFailOverToAFreshConnection(t *testing.T) {
	server := newFake(t, func(f *fake, conn *tls.Conn) {
		if f.conns.Load() > 1 {
			accepts(f, conn)
			return
		}
		// The first serves one login, and then says nothing any more.
		if _, err := remotewire.ReadTake(conn); err != nil {
			return
		}
		_ = remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"})
		_, _ = remotewire.ReadBegin(conn)
		_, _ = wire.Peer{Stream: conn}.Ask(wire.EchoOff, "Code: ")
		_ = remotewire.End(wire.Peer{Stream: conn}, remotewire.Outcome{Verdict: wire.Accept, Rule: "totp:phone"})
		mute(f, conn)
	})
	s := newServers(t, patience, server)
	s.again = usualAgain
	expectAccepted(t, s, server)
	expectAccepted(t, s, server)
	if n := server.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// Two ledgers would take one code each. Once they are one, all is well again.
func TestLedgersThatDiffer(t *testing.T) {
	first, second := newFake(t, accepts), newFake(t, accepts)
	second.ledger.Store("two")
	s := newServers(t, patience, first, second)
	expectAccepted(t, s, first)
	down := dies
	first.do.Store(&down)
	s.all[0].pool.Close() // the connection that is kept
	_, _, _, err := login(t.Context(), s)
	if !errors.Is(err, errLedgers) || !strings.Contains(err.Error(), "has two") || !strings.Contains(err.Error(), "has one") {
		t.Fatalf("%v", err)
	}
	if n := second.begins.Load(); n != 0 {
		t.Errorf("%d logins were begun", n)
	}
	second.ledger.Store("one")
	expectAccepted(t, s, second)
}

// A server with a key that is not listed gets no login.
func TestServerIsAStranger(t *testing.T) {
	server := newFake(t, accepts)
	s := newServers(t, patience, server)
	s.settings.ServerKeys = []config.KeyHash{{1}}
	if _, _, _, err := login(t.Context(), s); err == nil || !strings.Contains(err.Error(), "its key is "+server.key.Hash.String()+", which is not in remote.server_keys") {
		t.Errorf("%v", err)
	}
	if server.takes.Load() != 0 {
		t.Error("a stranger was asked")
	}
}

// A client without its key says what to do.
func TestNoKey(t *testing.T) {
	server := newFake(t, accepts)
	s := newServers(t, patience, server)
	if err := os.Remove(s.settings.Key); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := login(t.Context(), s); err == nil || !strings.Contains(err.Error(), "otpctl client init makes one") {
		t.Errorf("%v", err)
	}
}
