package ledgersocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/ledger/ledgersocket"
	"github.com/otpgate/otpgate/internal/ledger/ledgertest"
)

func openSocket(path string) (ledger.Store, error) {
	return casledger.New(ledgersocket.Client{Path: path}, casledger.Limits{Try: 20 * time.Second, All: 2 * time.Minute}), nil
}

func TestMain(m *testing.M) { os.Exit(ledgertest.Main(m, openSocket)) }

// serve answers out of registers at a socket, and returns its path.
func serve(t *testing.T, registers casledger.Registers) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { _ = ledgersocket.Answer(conn, registers) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return path
}

// The ledger in a real etcd, reached through another program's socket, keeps the
// promises.
func TestKeepsThePromises(t *testing.T) {
	settings := etcdtest.Start(t, 1).Settings(t, "server")
	var ledgers atomic.Int32
	ledgertest.Run(t, func(t *testing.T) string {
		fresh := settings
		fresh.Prefix = fmt.Sprintf("otpgate/%d/", ledgers.Add(1))
		cluster, err := etcdledger.NewCluster(fresh)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cluster.Close() })
		return serve(t, cluster)
	}, openSocket)
}

// scripted answers what a test says.
type scripted struct {
	now casledger.Register
	err error
}

func (s scripted) Get(context.Context, string) (casledger.Register, error) { return s.now, s.err }
func (s scripted) Swap(context.Context, string, int64, []byte, time.Duration) (bool, casledger.Register, error) {
	return s.err == nil, s.now, s.err
}
func (s scripted) Close() error { return nil }

// Whether a question was refused or not answered is the same at both ends, and so is
// why.
func TestErrorsPass(t *testing.T) {
	for _, test := range []struct {
		err         error
		unavailable bool
	}{
		{errors.New("permission denied"), false},
		{fmt.Errorf("%w from etcd: no leader", casledger.ErrUnavailable), true},
		{errors.New(strings.Repeat("x", 100_000)), false},
	} {
		client := ledgersocket.Client{Path: serve(t, scripted{err: test.err})}
		_, errGet := client.Get(t.Context(), "users/alice")
		_, _, errSwap := client.Swap(t.Context(), "users/alice", 0, []byte("x"), 0)
		for _, err := range []error{errGet, errSwap} {
			if errors.Is(err, casledger.ErrUnavailable) != test.unavailable || !strings.HasPrefix(test.err.Error(), err.Error()) {
				t.Errorf("%q, expected %.100q", err, test.err)
			}
		}
	}
}

// Without the program, and with one that goes away or says something else, nothing is
// known.
func TestNobodyAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	says := make(chan string)
	go func() {
		for text := range says {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4096)
			_, _ = conn.Read(buffer)
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	}()
	client := ledgersocket.Client{Path: path}
	for _, text := range []string{"", "\x00", "\x00\x00\x00\x09", "\xff\xff\xff\xff", "\x00\x00\x00\x00", "\x00\x00\x00\x01\x01", "\x00\x00\x00\x01\x07", "HTTP/1.1 400\r\n\r\n"} {
		says <- text
		if now, err := client.Get(t.Context(), "users/alice"); !errors.Is(err, casledger.ErrUnavailable) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %+v, %v", text, now, err)
		}
	}
	close(says)
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = listener.Close()
	for range 2 { // nobody listens any more, and then there is no socket
		_, err := client.Get(t.Context(), "users/alice")
		if !errors.Is(err, casledger.ErrUnavailable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "systemctl enable --now otpgate-ledgerd.socket") {
			t.Errorf("nobody listens: %v", err)
		}
		_ = os.Remove(path)
	}
}

// Who does not get an answer waits no longer than their time.
func TestWaitEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
		cancel()
	}()
	if _, err := (ledgersocket.Client{Path: path}).Get(ctx, "users/alice"); !errors.Is(err, casledger.ErrUnavailable) {
		t.Error(err)
	}
	if conn := <-accepted; conn != nil {
		_ = conn.Close()
	}
}

// Garbage is no question, and changes nothing.
func TestGarbage(t *testing.T) {
	for _, text := range [][]byte{nil, {0}, {0, 0, 0, 0}, {0, 0, 0, 1, 9}, {0xff, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{1}, 100)} {
		near, far := net.Pipe()
		done := make(chan error)
		go func() { done <- ledgersocket.Answer(far, nil) }()
		_, _ = near.Write(text)
		_ = near.Close()
		if err := <-done; err == nil {
			t.Errorf("%x is answered", text)
		}
	}
}

// TestLean has programs that use a ledger elsewhere stay without the network.
func TestLean(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if dep == "net" || dep == "crypto/tls" {
			t.Errorf("it links %s", dep)
		}
	}
}
