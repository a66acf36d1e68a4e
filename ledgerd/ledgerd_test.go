package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/testwait"
)

// asProgram makes the test binary the program.
const asProgram = "LEDGERD_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	status := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(status)
}

// machine is one with the program, and its configuration.
type machine struct {
	config, socket string
	// program is otpgate-ledgerd, the test's own if there is none.
	program string
	cmd     *exec.Cmd
	output  strings.Builder
	ended   chan error
}

// newMachine is one whose certificate has that name. A login there waits as long as
// it takes.
func newMachine(t testing.TB, cluster *etcdtest.Cluster, name string) *machine {
	t.Helper()
	return newMachineWith(t, cluster.Settings(t, name))
}

// newMachineWith is one with that certificate.
func newMachineWith(t testing.TB, settings etcdledger.Settings) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{config: filepath.Join(dir, "otpgate.toml"), socket: filepath.Join(dir, "run", "ledger.sock")}
	text := m.paths() + fmt.Sprintf("[ledger]\netcd = ['%s']\nca_file = %q\ncertificate_file = %q\nkey_file = %q\nsocket = %q\ntimeout = '1m'\n",
		strings.Join(settings.Endpoints, "', '"), settings.CAFile, settings.CertificateFile, settings.KeyFile, m.socket)
	if err := os.WriteFile(m.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

// paths keeps to the test's own directory what the machine has beside etcd.
func (m *machine) paths() string {
	dir := filepath.Dir(m.config)
	return fmt.Sprintf("[paths]\nstate = %q\nusers = %q\nbreak_glass = %q\n", dir+"/state", dir+"/users", dir+"/break-glass")
}

// hurry has a login wait for a second only.
func (m *machine) hurry(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(m.config)
	if err == nil {
		err = os.WriteFile(m.config, []byte(strings.Replace(string(text), "'1m'", "'1s'", 1)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startOnOneThread starts cmd, and passes on how it ended. The signal that ends it with
// the test is sent when the thread ends that started it.
func startOnOneThread(t testing.TB, cmd *exec.Cmd) (ended chan error) {
	t.Helper()
	started := make(chan error)
	ended = make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return ended
}

// start runs the program and waits until it listens.
func (m *machine) start(t testing.TB) {
	t.Helper()
	m.output.Reset()
	m.cmd = exec.Command(cmp.Or(m.program, os.Args[0]), "--config", m.config)
	m.cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	m.cmd.Stdout, m.cmd.Stderr = &m.output, &m.output
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.ended = startOnOneThread(t, m.cmd)
	t.Cleanup(func() { _ = m.cmd.Process.Kill() })
	testwait.Until(t, "otpgate-ledgerd listens", func() bool {
		conn, err := net.Dial("unix", m.socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// ledger is what a program of the machine has.
func (m *machine) ledger(t testing.TB) ledger.Store {
	t.Helper()
	settings, err := config.Load(m.config)
	if err != nil {
		t.Fatal(err)
	}
	store, err := gate.OpenLedger(settings)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

var errUsed = errors.New("used")

func login(store ledger.Store, step int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return store.Update(ctx, ledger.UserKey("alice"), func(entry *ledger.Entry) error {
		if entry.Used["phone"].Step >= step {
			return errUsed
		}
		entry.Used = map[string]ledger.Use{"phone": {Step: step}}
		return nil
	})
}

// Three machines have one ledger: its id is the same, and of fifty logins with one
// code one gets in.
func TestThreeMachines(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	var ledgers []ledger.Store
	ids := map[string]bool{}
	for n := range 3 {
		m := newMachine(t, cluster, fmt.Sprintf("server%d", n))
		m.start(t)
		store := m.ledger(t)
		id, err := store.(ledger.Identified).ID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
		ledgers = append(ledgers, store)
	}
	if len(ids) != 1 {
		t.Errorf("the ids are %v", ids)
	}
	for round := range 5 {
		var won atomic.Int32
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() {
				switch err := login(ledgers[n%3], int64(round+1)); err {
				case nil:
					won.Add(1)
				case errUsed:
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("round %d: %d logins got in", round, won.Load())
		}
	}
}

// The program is killed and started again while people log in: nobody is let in
// twice, and nobody notices.
func TestKilled(t *testing.T) {
	m := newMachine(t, etcdtest.Start(t, 1), "server")
	m.start(t)
	store := m.ledger(t)
	var in atomic.Int64
	end := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for step := int64(1); ; step++ {
			select {
			case <-end:
				return
			default:
			}
			if err := login(store, step); err != nil {
				t.Errorf("code %d: %v", step, err)
			}
			if err := login(store, step); err != errUsed {
				t.Errorf("code %d again: %v", step, err)
			}
			in.Add(1)
		}
	})
	for range 5 {
		target := in.Load() + 3
		testwait.Until(t, "people get in", func() bool { return in.Load() >= target })
		_ = m.cmd.Process.Kill()
		<-m.ended
		// What is left of it is taken away by the next one.
		m.start(t)
	}
	close(end)
	all.Wait()
}

// It ends when it is told to, and leaves no socket. A socket that is left is taken.
func TestEnds(t *testing.T) {
	m := newMachine(t, etcdtest.Start(t, 1), "server")
	m.start(t)
	if info, err := os.Stat(m.socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := login(m.ledger(t), 1); err != nil {
		t.Error(err)
	}
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	if err := <-m.ended; err != nil {
		t.Errorf("%v: %s", err, &m.output)
	}
	if _, err := os.Stat(m.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
}

// Without the program every login that needs the ledger is denied, and the error
// names it.
func TestNotThere(t *testing.T) {
	m := newMachine(t, etcdtest.Start(t, 1), "server")
	m.hurry(t)
	if err := login(m.ledger(t), 1); err == nil || !strings.Contains(err.Error(), "otpgate-ledgerd at "+m.socket) {
		t.Errorf("%v", err)
	}
}

// What it is not to run with, it says.
func TestRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "otpgate.toml")
	for text, want := range map[string]string{
		"": "the configuration has no [ledger]",
		"[ledger]\netcd = ['http://192.0.2.1:2379']\n": "ledger.etcd: expected https://",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
