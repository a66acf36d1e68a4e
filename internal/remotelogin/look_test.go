package remotelogin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// refuses is a server that does not know the client's key.
func refuses(f *fake, conn *tls.Conn) {
	strict := pinned.Server(conn.NetConn(), f.key, func(config.KeyHash) error { return errors.New("who is it?") })
	_ = strict.Handshake()
	_ = conn.NetConn().(*net.TCPConn).CloseWrite()
	hangs(f, conn)
}

// ahead is a server whose clock is an hour ahead.
func ahead(_ *fake, conn *tls.Conn) {
	if _, err := remotewire.ReadTake(conn); err == nil {
		_ = remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one", Clock: time.Now().Add(time.Hour)})
	}
}

// A server whose clock says anything at all is far ahead, and by how much can be added.
func TestClockOfAnotherAge(t *testing.T) {
	for clock, want := range map[time.Time]time.Duration{time.UnixMilli(1 << 48): mostAhead, time.UnixMilli(1): -mostAhead / 2} {
		f := newFake(t, func(_ *fake, conn *tls.Conn) {
			if _, err := remotewire.ReadTake(conn); err == nil {
				_ = remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one", Clock: clock})
			}
		})
		look := LookAtAll(t.Context(), newServers(t, patience, f).settings, patience)[0]
		if look.Err != nil || want > 0 && look.Ahead != want || want < 0 && (look.Ahead >= want || look.Ahead < -mostAhead) {
			t.Errorf("%v: %+v", clock, look)
		}
	}
}

// Every server is told of, and none is begun at.
func TestLookAtAll(t *testing.T) {
	t.Parallel()
	good, unknown, full, early, stranger := newFake(t, accepts), newFake(t, accepts), newFake(t, busy), newFake(t, ahead), newFake(t, refuses)
	closed := newGone(t)
	s := newServers(t, patience, good, unknown, full, early, stranger, closed)
	settings := s.settings
	settings.ServerKeys = nil
	for _, f := range []*fake{good, full, early, stranger, closed} {
		settings.ServerKeys = append(settings.ServerKeys, f.key.Hash)
	}
	// No resolver need be asked about such a name.
	settings.Servers = append(settings.Servers, strings.Repeat("x", 64)+".invalid:9152")
	looks := LookAtAll(t.Context(), settings, patience)
	if len(looks) != len(settings.Servers) {
		t.Fatalf("%d servers, %+v", len(settings.Servers), looks)
	}
	for i, look := range looks {
		if look.Server != settings.Servers[i] || i < 6 && (len(look.Addresses) != 1 || !look.Addresses[0].IsLoopback()) {
			t.Errorf("%+v", look)
		}
	}
	if look := looks[0]; look.Err != nil || look.Ledger != "one" || look.Key != good.key.Hash || look.Ahead != 0 {
		t.Errorf("it takes logins: %+v", look)
	}
	var key UnknownKeyError
	if look := looks[1]; !errors.As(look.Err, &key) || key.Key != unknown.key.Hash || look.Key != unknown.key.Hash {
		t.Errorf("its key is unknown: %+v", look)
	}
	var reason BusyError
	if look := looks[2]; !errors.As(look.Err, &reason) || reason.Reason != "its ledger is out of reach" {
		t.Errorf("it is busy: %+v", look)
	}
	if look := looks[3]; look.Err != nil || look.Ahead < time.Hour-patience || look.Ahead > time.Hour+patience {
		t.Errorf("its clock is ahead: %+v", look)
	}
	var refused RefusedError
	if look := looks[4]; !errors.As(look.Err, &refused) || look.Key != stranger.key.Hash {
		t.Errorf("it knows no such key: %+v", look)
	}
	if look := looks[5]; !errors.Is(look.Err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %+v", look)
	}
	var unresolved *net.DNSError
	if look := looks[6]; !errors.As(look.Err, &unresolved) {
		t.Errorf("no such host: %+v", look)
	}
	if begun := good.begins.Load(); begun != 0 || good.takes.Load() != 1 {
		t.Errorf("asked %d times, begun %d", good.takes.Load(), begun)
	}
}

// A server that says nothing is given up, before and after it has shown its key.
func TestLookAtSilence(t *testing.T) {
	t.Parallel()
	silent := newFake(t, hangs)
	s := newServers(t, patience, silent)
	for _, look := range LookAtAll(t.Context(), s.settings, time.Millisecond) {
		if !errors.Is(look.Err, context.DeadlineExceeded) || look.Key != (config.KeyHash{}) {
			t.Errorf("%+v", look)
		}
	}
	// After its key: the time for that is what a busy machine needs, so the context ends.
	ctx, cancel := context.WithCancel(t.Context())
	later := newFake(t, func(f *fake, conn *tls.Conn) {
		if _, err := remotewire.ReadTake(conn); err == nil {
			cancel()
			hangs(f, conn)
		}
	})
	s = newServers(t, patience, later)
	for _, look := range LookAtAll(ctx, s.settings, patience) {
		if !errors.Is(look.Err, context.Canceled) || look.Key != later.key.Hash {
			t.Errorf("%+v", look)
		}
	}
}

// Without a key of its own a machine asks nobody.
func TestLookWithoutKey(t *testing.T) {
	t.Parallel()
	server := newFake(t, accepts)
	s := newServers(t, patience, server)
	if err := os.Remove(s.settings.Key); err != nil {
		t.Fatal(err)
	}
	for _, look := range LookAtAll(t.Context(), s.settings, patience) {
		if !errors.Is(look.Err, ErrOwnKey) {
			t.Errorf("%+v", look)
		}
	}
	if conns := server.conns.Load(); conns != 0 {
		t.Errorf("%d connections", conns)
	}
}
