// Package etcdtest runs Debian's etcd for tests.
//
// The entry points are [Start] and [Run]. The package promises a cluster of its own, over
// TLS with client certificates, that is gone when the test has ended.
package etcdtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/testwait"
)

// Cluster is a running etcd.
type Cluster struct {
	// Dir has the cluster's files.
	Dir string
	// Authority vouches for all members, and for clients.
	Authority *Authority
	Members   []*Member

	config Config
}

// Config is how a cluster is run.
type Config struct {
	// Members is how many there are.
	Members int
	// Options are of etcd's, for each member.
	Options []string
	// Dir is where the cluster's files are. Without it they are in memory: how long a
	// shared disk takes is not what is tested.
	Dir string
	// Hosts are the members' addresses. Without them all have one of this process's own
	// on loopback.
	Hosts []string
	// Program is etcd; without it the one that is installed.
	Program string
	// Revokes has the members know a list of revoked certificates, see Revoke.
	Revokes bool
	// Small has the last member's data on a small disk of its own, see FillDisk. What is
	// there is gone with the member.
	Small bool
	// Before are the words in front of a member's command, as of a program that runs
	// others elsewhere. They are in front of etcdctl too: those of the first member.
	Before func(member int) []string
}

// Member is one of its servers.
type Member struct {
	Name string
	// URL is where clients reach it.
	URL string

	t       testing.TB
	command []string
	log     string
	cmd     *exec.Cmd
	// ended is closed once the process has; nil while none runs.
	ended chan struct{}
}

// ports counts those that this process has given away.
var ports atomic.Int32

// Address is one of the machine's own that no other process uses for this, at a
// port below those that the kernel gives away.
func Address() string { return fmt.Sprintf("%s:%d", host(), nextPort()) }

func nextPort() int { return 2400 + int(ports.Add(1)) }

func host() string {
	n := os.Getpid()<<2 | 1
	return fmt.Sprintf("127.%d.%d.%d", n>>16&0xff, n>>8&0xff, n&0xff)
}

// Start runs a cluster with that many members, each with these options of etcd's too.
func Start(t testing.TB, members int, options ...string) *Cluster {
	t.Helper()
	return Run(t, Config{Members: members, Options: options})
}

// Run runs a cluster, and returns once it is ready.
func Run(t testing.TB, config Config) *Cluster {
	t.Helper()
	c := &Cluster{Dir: config.Dir}
	if c.Dir == "" {
		c.Dir = dir(t)
	}
	c.Authority = NewAuthority(t, c.Dir, config.Hosts...)
	certificate, key := c.Authority.Issue(t, Certificate{Name: "member"})
	if config.Revokes {
		c.Revoke(t)
		config.Options = append([]string{"--client-crl-file", c.revoked()}, config.Options...)
	}
	if config.Small {
		config.Before = c.onSmallDisk(t, config.Members-1)
	}
	c.config = config
	var initial []string
	for n := range config.Members {
		name, peers, clients := fmt.Sprintf("n%d", n+1), "https://"+config.address(n), "https://"+config.address(n)
		initial = append(initial, name+"="+peers)
		c.Members = append(c.Members, &Member{Name: name, URL: clients, t: t, log: filepath.Join(c.Dir, name+".log"), command: append(config.before(n),
			cmp.Or(config.Program, "etcd"), "--name", name, "--data-dir", filepath.Join(c.Dir, name),
			"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
			"--listen-client-urls", clients, "--advertise-client-urls", clients,
			"--cert-file", certificate, "--key-file", key, "--trusted-ca-file", c.Authority.File, "--client-cert-auth",
			"--peer-cert-file", certificate, "--peer-key-file", key, "--peer-trusted-ca-file", c.Authority.File, "--peer-client-cert-auth",
			"--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1h", "--enable-grpc-gateway=false",
		)})
	}
	for _, member := range c.Members {
		member.command = append(append(member.command, "--initial-cluster", strings.Join(initial, ",")), config.Options...)
		member.Start()
	}
	t.Cleanup(func() {
		for _, member := range c.Members {
			member.Kill()
		}
	})
	c.Ready(t)
	return c
}

func (c Config) address(member int) string {
	if len(c.Hosts) == 0 {
		return Address()
	}
	return fmt.Sprintf("%s:%d", c.Hosts[member], nextPort())
}

func (c Config) before(member int) []string {
	if c.Before == nil {
		return nil
	}
	return slices.Clone(c.Before(member))
}

// dir is in memory: how long a shared disk takes is not what is tested.
func dir(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp("/dev/shm", "otpgate-etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	return path
}

// Start runs the member, for the first time or again.
func (m *Member) Start() {
	m.t.Helper()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	m.cmd = exec.Command(m.command[0], m.command[1:]...)
	m.cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // it takes options from there
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		// The signal is sent when the thread ends that started the process.
		runtime.LockOSThread()
		err := m.cmd.Start()
		started <- err
		if err == nil {
			_ = m.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		m.t.Fatalf("%v; packaging/deps test installs it", err)
	}
	m.ended = ended
}

// Kill ends the member at once, stopped or not.
func (m *Member) Kill() {
	if m.ended != nil {
		_ = m.cmd.Process.Kill()
		<-m.ended
		m.ended = nil
	}
}

// Pid is the member's process.
func (m *Member) Pid() int { return m.cmd.Process.Pid }

// Ended is closed once the member has ended; nil while none runs.
func (m *Member) Ended() <-chan struct{} { return m.ended }

// Stop has the member do nothing, its connections open, until Continue.
func (m *Member) Stop() {
	m.t.Helper()
	testwait.Stop(m.t, m.cmd.Process.Pid)
}

// Continue undoes Stop.
func (m *Member) Continue() { m.signal(syscall.SIGCONT) }

func (m *Member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// Log is what the member said, for a test that failed.
func (m *Member) Log() string {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// URLs are where clients reach the members.
func (c *Cluster) URLs() []string {
	var all []string
	for _, member := range c.Members {
		all = append(all, member.URL)
	}
	return all
}

// Settings are those of a machine with a certificate in that name. They wait as long
// as it takes.
func (c *Cluster) Settings(t testing.TB, name string) etcdledger.Settings {
	t.Helper()
	certificate, key := c.Authority.Issue(t, Certificate{Name: name})
	return etcdledger.Settings{
		Endpoints: c.URLs(), CAFile: c.Authority.File, CertificateFile: certificate, KeyFile: key,
		Prefix: "otpgate/1/", Limits: casledger.Limits{Try: 20 * time.Second, All: 2 * time.Minute},
	}
}

// Ready waits until the cluster takes changes at each member that runs.
func (c *Cluster) Ready(t testing.TB) {
	t.Helper()
	for _, member := range c.Members {
		if member.ended == nil {
			continue
		}
		testwait.Until(t, "etcd is ready at "+member.URL, func() bool {
			ready, _ := c.etcdctl([]string{member.URL}, "endpoint", "health")
			return ready
		})
	}
}

// Patient are options of etcdctl's by which it waits for a busy machine.
var Patient = []string{"--dial-timeout=2m", "--command-timeout=2m"}

// Etcdctl runs etcdctl as the first admin.
func (c *Cluster) Etcdctl(t testing.TB, arguments ...string) string {
	t.Helper()
	// The usual five seconds are not what is tested.
	ok, output := c.etcdctl(c.URLs(), append(arguments, Patient...)...)
	if !ok {
		t.Fatalf("etcdctl %s: %s", strings.Join(arguments, " "), output)
	}
	return string(output)
}

func (c *Cluster) etcdctl(endpoints []string, arguments ...string) (ok bool, output []byte) {
	certificate, key := c.Authority.admin()
	command := slices.Concat(c.config.before(0), []string{"etcdctl", "--endpoints", strings.Join(endpoints, ","), "--cacert", c.Authority.File, "--cert", certificate, "--key", key}, arguments)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	output, err := cmd.CombinedOutput()
	return err == nil, output
}

// EnableAuth has the cluster know users by the names in their certificates. They may
// read and write below prefix.
func (c *Cluster) EnableAuth(t testing.TB, prefix string, users ...string) {
	t.Helper()
	c.Etcdctl(t, "user", "add", "root", "--no-password")
	c.Etcdctl(t, "user", "grant-role", "root", "root")
	c.Etcdctl(t, "role", "add", "otpgate")
	c.Etcdctl(t, "role", "grant-permission", "otpgate", "readwrite", prefix, "--prefix=true")
	for _, user := range users {
		c.Etcdctl(t, "user", "add", user, "--no-password")
		c.Etcdctl(t, "user", "grant-role", user, "otpgate")
	}
	c.Etcdctl(t, "auth", "enable")
}

// Leader is the member that leads.
func (c *Cluster) Leader(t testing.TB) *Member {
	t.Helper()
	var leader *Member
	testwait.Until(t, "a member leads", func() bool {
		for _, member := range c.Members {
			if member.ended == nil {
				continue
			}
			ok, output := c.etcdctl([]string{member.URL}, "endpoint", "status", "--write-out", "simple")
			// endpoint, id, version, size, is leader, …
			if fields := strings.Split(string(output), ", "); ok && len(fields) > 4 && fields[4] == "true" {
				leader = member
				return true
			}
		}
		return false
	})
	return leader
}
