package main

import (
	"encoding/base32"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

var rounds = flag.Int("rounds", 5, "how often fifty people log in at once with one code")

// buildPrograms makes the real ones: a test's own program links etcd's client, which
// verifierd and otpctl do not, and more than ledgerd does.
var buildPrograms = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "otpgate-ledgerd"); err != nil {
		return "", err
	}
	built = dir
	if output, err := exec.Command("go", "build", "-o", dir, ".", "../pam_module/verifierd", "../otpctl").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, output)
	}
	return dir, nil
})

// built is what buildPrograms made, for TestMain to take away.
var built string

// verifier is one server: otpgate-ledgerd and otpgate-verifierd, and what they have.
type verifier struct {
	*machine
	dir, front string // front is the verifier's socket
}

// newVerifier is a running server. Logins there wait that long for the ledger. more is what
// else the table of the ledger has in the configuration.
func newVerifier(t testing.TB, cluster *etcdtest.Cluster, name, timeout string, more ...string) *verifier {
	t.Helper()
	return newVerifierWith(t, cluster.Settings(t, name), timeout, more...)
}

// newVerifierWith is one whose otpgate-ledgerd has that certificate and asks at those URLs.
func newVerifierWith(t testing.TB, at etcdledger.Settings, timeout string, more ...string) *verifier {
	t.Helper()
	programs, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	v := newSite(t, newMachineWith(t, at))
	text, err := os.ReadFile(v.config)
	if err != nil {
		t.Fatal(err)
	}
	v.configure(t, strings.Replace(strings.TrimPrefix(string(text), v.paths()), "timeout = '1m'", fmt.Sprintf("timeout = %q", timeout), 1)+strings.Join(more, ""))
	v.start(t)
	v.run(t, programs+"/verifierd")
	return v
}

// newSite is a server that has not been configured.
func newSite(t testing.TB, m *machine) *verifier {
	t.Helper()
	v := &verifier{machine: m, dir: t.TempDir()}
	v.front = filepath.Join(v.dir, "run", "verifier.sock")
	if err := errors.Join(os.Mkdir(v.dir+"/users", 0o700), os.Mkdir(v.dir+"/state", 0o700)); err != nil {
		t.Fatal(err)
	}
	return v
}

// configure writes the configuration, with a table [ledger] or without.
func (v *verifier) configure(t testing.TB, table string) {
	t.Helper()
	text := table + "[policy]\nrequire = ['games']\nunenrolled = 'enroll'\nexempt = ['backup']\n[policy.attempts]\nper_window = 1000\nper_source = 100000\n" +
		fmt.Sprintf("[paths]\nusers = %q\nstate = %q\nsocket = %q\nbreak_glass = %q\n", v.dir+"/users", v.dir+"/state", v.front, v.dir+"/break-glass")
	if err := os.WriteFile(v.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (v *verifier) run(t testing.TB, program string) {
	t.Helper()
	cmd := exec.Command(program, "--config", v.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := startOnOneThread(t, cmd)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	testwait.Until(t, "the verifier listens", func() bool {
		conn, err := net.Dial("unix", v.front)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

const period = 300

var secret = base32.StdEncoding.EncodeToString([]byte("a secret of tests 20"))

// enroll gives somebody a secret file on that server.
func (v *verifier) enroll(t testing.TB, name string) {
	t.Helper()
	text := fmt.Sprintf("version = 1\nuser = %q\nenabled = true\n[[factor]]\nid = \"phone\"\nkind = \"totp\"\nsecret = %q\ndigits = 8\nperiod = %d\nalgorithm = \"SHA1\"\nconfirmed = 2026-01-01T00:00:00Z\n", name, secret, period)
	if err := os.WriteFile(filepath.Join(v.dir, "users", name+".toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// code is a right one, now or that many steps from now.
func code(t testing.TB, steps int) string {
	t.Helper()
	text, err := totp.GenerateCodeCustom(secret, time.Now().Add(time.Duration(steps)*period*time.Second),
		totp.ValidateOpts{Period: period, Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// asked is the module's end of a login: whoever logs in gives one answer again and again.
type asked struct {
	answer string
	told   string
}

func (f *asked) Ask(wire.Style, string) (wire.Reply, error) {
	return wire.Reply{Status: wire.Answered, Text: f.answer}, nil
}

func (f *asked) Tell(_ wire.Style, text string) error {
	f.told += text + "\n"
	return nil
}

func (f *asked) Tail(int, int, string) (string, bool, error) { return "", false, nil }

// login is one through the verifier's socket.
func (v *verifier) login(user, answer string) (verdict wire.Verdict, told string, err error) {
	f := &asked{answer: answer}
	verdict, err = v.loginBy(user, f)
	return verdict, f.told, err
}

// loginBy is one in which person is asked.
func (v *verifier) loginBy(user string, person remotewire.Person) (wire.Verdict, error) {
	conn, err := net.Dial("unix", v.front)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	start := wire.Start{User: user, Service: "sshd", Config: v.config, Timeout: wire.MaxTimeout}
	if err := wire.WriteStart(conn, start); err != nil {
		return 0, err
	}
	var ready [1]byte
	if _, err := io.ReadFull(conn, ready[:]); err != nil || ready[0] != wire.Ready {
		return 0, fmt.Errorf("the verifier does not take it: %x, %w", ready, err)
	}
	outcome, err := remotewire.Relay(conn, person)
	return outcome.Verdict, err
}

func newVerifiers(t *testing.T, cluster *etcdtest.Cluster) (servers []*verifier) {
	t.Helper()
	for n := range 3 {
		servers = append(servers, newVerifier(t, cluster, fmt.Sprintf("server%d", n), "1m"))
	}
	return servers
}

// Fifty people at three servers give the same code at the same time: one gets in.
func TestOneCodeAtThreeVerifiers(t *testing.T) {
	servers := newVerifiers(t, etcdtest.Start(t, 3))
	for round := range *rounds {
		name := fmt.Sprintf("user%d", round)
		for _, v := range servers {
			v.enroll(t, name)
		}
		one := code(t, 0)
		var in atomic.Int32
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() {
				switch verdict, told, err := servers[n%3].login(name, one); {
				case err != nil:
					t.Error(err)
				case verdict == wire.Accept:
					in.Add(1)
				case verdict != wire.MaxTries:
					t.Errorf("%v, %q", verdict, told)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 {
			t.Errorf("round %d: %d logins got in with one code, expected one", round, in.Load())
		}
	}
}

// Without a majority of etcd's members whoever needs the ledger is denied, but for
// break-glass codes; whoever does not gets in. Once it is back, used is used.
func TestVerifierWithoutMajority(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	patient, v := newVerifier(t, cluster, "server1", "1m"), newVerifier(t, cluster, "server2", "3s")
	patient.enroll(t, "alice")
	v.enroll(t, "alice")
	v.enroll(t, "root")
	codes, kept := breakglass.New("root", time.Now())
	if err := breakglass.Save(v.dir+"/break-glass", kept); err != nil {
		t.Fatal(err)
	}
	once := code(t, 0)
	if verdict, told, err := patient.login("alice", once); err != nil || verdict != wire.Accept {
		t.Fatalf("%v, %q, %v", verdict, told, err)
	}
	for _, member := range cluster.Members[:2] {
		member.Kill()
	}
	if verdict, told, err := v.login("alice", code(t, 1)); err != nil || verdict != wire.Fault || !strings.Contains(told, "cannot be checked now") {
		t.Errorf("without a majority: %v, %q, %v", verdict, told, err)
	}
	if verdict, told, err := v.login("root", codes[0]); err != nil || verdict != wire.Accept {
		t.Errorf("a break-glass code: %v, %q, %v", verdict, told, err)
	}
	if verdict, told, err := v.login("backup", ""); err != nil || verdict != wire.Ignore {
		t.Errorf("exempt: %v, %q, %v", verdict, told, err)
	}
	for _, member := range cluster.Members[:2] {
		member.Start()
	}
	cluster.Ready(t)
	if verdict, told, err := patient.login("alice", once); err != nil || verdict != wire.MaxTries {
		t.Errorf("the code from before: %v, %q, %v", verdict, told, err)
	}
}
