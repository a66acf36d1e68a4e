// Package castest is what tests have in the place of otpgate-ledgerd and of etcd: a service
// with compare-and-swap in memory, at a socket, of which they say what becomes of a change.
//
// The entry point is [Serve]. It promises that nothing is stored but in the place of what
// was read, unless a test says so.
package castest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgermove"
	"github.com/otpgate/otpgate/internal/ledger/ledgersocket"
)

// Service keeps values.
type Service struct {
	mu       sync.Mutex
	before   func(key string)
	lose     func(key string) bool
	values   map[string]casledger.Register
	revision int64
}

// Before has do called ahead of each change of a key from now on; nil calls nothing.
func (s *Service) Before(do func(key string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = do
}

// Lose has lose called when a key was changed; if it returns true, the answer is lost. nil
// loses none.
func (s *Service) Lose(lose func(key string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = lose
}

var _ casledger.Inspector = (*Service)(nil)

// Serve starts one, and returns its socket too. It ends with the test.
func Serve(t testing.TB) (s *Service, socket string) {
	t.Helper()
	s = &Service{values: map[string]casledger.Register{}}
	return s, ServeRegisters(t, casledger.NewRecent(s))
}

// ServeRegisters answers out of registers at a socket, as otpgate-ledgerd does.
func ServeRegisters(t testing.TB, registers casledger.Registers) (socket string) {
	t.Helper()
	return serve(t, func(conn net.Conn) { _ = ledgersocket.Answer(conn.(ledgersocket.Conn), registers) })
}

// ServeNobody hangs up on whoever connects, as an otpgate-ledgerd does that does not know the
// question.
func ServeNobody(t testing.TB) (socket string) {
	t.Helper()
	return serve(t, func(conn net.Conn) { _ = conn.Close() })
}

func serve(t testing.TB, answer func(conn net.Conn)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
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
			all.Go(func() { answer(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return socket
}

// Silent is a service that knows nothing: each question fails with Err, and without one it waits
// until nobody waits for the answer any more.
type Silent struct {
	casledger.Inspector
	Err error
}

// Texts implements [casledger.Reminder].
func (s Silent) Texts(ctx context.Context, _ string) (casledger.Texts, error) {
	if s.Err == nil {
		<-ctx.Done()
		return casledger.Texts{}, fmt.Errorf("%w: %w", casledger.ErrUnavailable, ctx.Err())
	}
	return casledger.Texts{}, s.Err
}

// Prefix is what configurations have for the service.
const Prefix = "otpgate/1/"

// Noted gives what a machine has for paths.state on which it is noted that its ledger is in
// the service.
func (s *Service) Noted(t testing.TB) (state string) {
	t.Helper()
	state = filepath.Join(t.TempDir(), "state")
	move := ledgermove.Move{
		Dir: state, To: casledger.New(s, casledger.LimitsOf(time.Minute)), Kind: "etcd", Prefix: Prefix, Now: time.Now,
		Names:    func() ([]string, error) { return nil, nil },
		Progress: func(string, int) func() { return func() {} },
	}
	if _, err := move.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return state
}

// Get implements [casledger.Registers].
func (s *Service) Get(_ context.Context, key string) (casledger.Register, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], nil
}

// Swap implements [casledger.Registers].
func (s *Service) Swap(_ context.Context, key string, revision int64, value []byte, _ time.Duration) (bool, casledger.Register, error) {
	s.mu.Lock()
	before, lose := s.before, s.lose
	s.mu.Unlock()
	if before != nil {
		before(key)
	}
	swapped := s.swap(key, revision, value)
	if swapped && lose != nil && lose(key) {
		return false, casledger.Register{}, fmt.Errorf("lost: %w", casledger.ErrUnavailable)
	}
	now, err := s.Get(context.Background(), key)
	return swapped, now, err
}

func (s *Service) swap(key string, revision int64, value []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key].Revision != revision {
		return false
	}
	s.revision++
	s.values[key] = casledger.Register{Value: value, Revision: s.revision}
	return true
}

// PutText is somebody else who stores a text, whatever is there.
func (s *Service) PutText(key, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	value := append([]byte{1}, fmt.Sprintf("%016d%s", s.revision, text)...)
	s.values[key] = casledger.Register{Value: value, Revision: s.revision}
}

// Page implements [casledger.Inspector].
func (s *Service) Page(_ context.Context, after string) (page []casledger.Named, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if key > after {
			page = append(page, casledger.Named{Key: key, Register: s.values[key]})
		}
	}
	return page, nil
}

// Status implements [casledger.Inspector].
func (s *Service) Status(context.Context) (casledger.Status, error) { return casledger.Status{}, nil }

// Close implements [casledger.Registers].
func (s *Service) Close() error { return nil }
