package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/document"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/testwait"
)

// written are the blocks of a section of docs/ledger.md, by what their first line begins
// with.
func written(t *testing.T, heading string) (block func(begins string) string) {
	t.Helper()
	text, err := os.ReadFile("../docs/ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### "+heading+"\n")
	section, _, found := strings.Cut(section, "\n### ")
	if !found {
		t.Fatalf("docs/ledger.md has no section %s", heading)
	}
	blocks, _, err := document.Blocks("docs/ledger.md", section)
	if err != nil {
		t.Fatal(err)
	}
	return func(begins string) string {
		for _, b := range blocks {
			if strings.HasPrefix(b.Lines[0], begins) {
				return strings.Join(b.Lines, "\n") + "\n"
			}
		}
		t.Fatalf("no block begins with %q", begins)
		return ""
	}
}

// here puts addresses of this machine in place of the names in the document, and the
// certificates' directory in place of those on each machine.
type here struct {
	dir            string
	clients, peers [4]string // addresses of the members 1 to 3
}

func (h *here) replace(text string) string {
	for n := 1; n <= 3; n++ {
		name := fmt.Sprintf("etcd%d.example.com", n)
		text = strings.ReplaceAll(text, name+":2379", h.clients[n])
		text = strings.ReplaceAll(text, name+":2380", h.peers[n])
	}
	text = strings.ReplaceAll(text, "/etc/etcd/", h.dir+"/")
	text = strings.ReplaceAll(text, "/etc/otpgate/ledger/", h.dir+"/")
	host, _, _ := net.SplitHostPort(h.clients[1])
	return strings.ReplaceAll(text, "DNS:$name.example.com", "DNS:$name.example.com,IP:"+host+",IP:127.0.0.1")
}

func (h *here) run(t *testing.T, text string) {
	t.Helper()
	cmd := exec.Command("bash", "-e", "-c", h.replace(text))
	cmd.Dir = h.dir
	// The usual times are not what is tested.
	cmd.Env = append(os.Environ(), "ETCDCTL_DIAL_TIMEOUT=2m", "ETCDCTL_COMMAND_TIMEOUT=2m")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// member starts one, with the file of the document for the first one made its own, and
// returns what ends it.
func (h *here) member(t *testing.T, n int, file string) (end func()) {
	t.Helper()
	peers, clients := "192.0.2.1:2380", "192.0.2.1:2379"
	file = strings.ReplaceAll(strings.ReplaceAll(file, peers, h.peers[n]), clients, h.clients[n])
	var environment []string
	for line := range strings.Lines(file) {
		line = strings.TrimSpace(line)
		if key, _, _ := strings.Cut(line, "="); key != "ETCD_INITIAL_CLUSTER" {
			line = strings.ReplaceAll(line, "etcd1", fmt.Sprintf("etcd%d", n))
		}
		if !strings.HasPrefix(line, "#") {
			environment = append(environment, h.replace(line))
		}
	}
	var output bytes.Buffer
	cmd := exec.Command("etcd")
	cmd.Env = append(environment, "PATH="+os.Getenv("PATH"), "ETCD_DATA_DIR="+h.data(n))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := startOnOneThread(t, cmd)
	end = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("etcd%d: %s", n, output.String()[max(0, output.Len()-2000):])
		}
	})
	return end
}

// data is the directory of a member.
func (h *here) data(n int) string { return filepath.Join(h.dir, fmt.Sprintf("data%d", n)) }

// askPeer asks the first member for its version, at its port for members.
func (h *here) askPeer(name string) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(h.dir, name+".pem"), filepath.Join(h.dir, name+".key"))
	if err != nil {
		return err
	}
	// Whom the member believes is in question, and not the other way round.
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("https://" + h.peers[1] + "/version")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// newHere has certificates as the document says.
func newHere(t *testing.T, block func(begins string) string) *here {
	t.Helper()
	h := &here{dir: t.TempDir()}
	for n := 1; n <= 3; n++ {
		h.clients[n], h.peers[n] = etcdtest.Address(), etcdtest.Address()
	}
	h.run(t, block("umask 077"))
	return h
}

// start starts the three members, and returns what ends them.
func (h *here) start(t *testing.T, block func(begins string) string) (end func()) {
	t.Helper()
	var ends []func()
	for n := 1; n <= 3; n++ {
		ends = append(ends, h.member(t, n, block("# /etc/default/etcd")))
	}
	testwait.Until(t, "the cluster is healthy", func() bool {
		cmd := exec.Command("etcdctl", "--endpoints", "https://"+h.clients[1]+",https://"+h.clients[2]+",https://"+h.clients[3],
			"--cacert", h.dir+"/ca.pem", "--cert", h.dir+"/root.pem", "--key", h.dir+"/root.key", "endpoint", "health")
		cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
		return cmd.Run() == nil
	})
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// server is one of otpgate's as the document says.
func (h *here) server(t *testing.T, block func(begins string) string, name string) *machine {
	t.Helper()
	dir := filepath.Join(h.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m := &machine{config: filepath.Join(dir, "otpgate.toml"), socket: filepath.Join(dir, "ledger.sock")}
	m.write(t, m.paths()+strings.ReplaceAll(h.replace(block("[ledger]")), "server1", name)+fmt.Sprintf("socket = %q\ntimeout = \"1m\"\n", m.socket))
	if _, err := config.Load(m.config); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	return m
}

// What docs/ledger.md says of setting up three members does what it says: two servers
// with these certificates share a ledger, and a stranger has no part in it.
func TestSetUpAsWritten(t *testing.T) {
	block := written(t, "Setting it up")
	h := newHere(t, block)
	h.start(t, block)
	if err := h.askPeer("etcd2-peer"); err != nil {
		t.Errorf("a member at another one's port for members: %v", err)
	}
	for _, name := range []string{"server1", "root", "etcd2"} {
		if err := h.askPeer(name); err == nil {
			t.Errorf("%s.pem is good at the port for members, where roles do not count", name)
		}
	}
	h.run(t, block("export ETCDCTL_API"))
	servers := map[string]*machine{}
	for _, name := range []string{"server1", "server2", "etcd1"} {
		servers[name] = h.server(t, block, name)
		err := login(servers[name].ledger(t), 1)
		switch {
		case name == "server1" && err != nil, name == "server2" && !errors.Is(err, errUsed):
			t.Errorf("%s: %v", name, err)
		case name == "etcd1" && (err == nil || !strings.Contains(err.Error(), "etcdctl user")):
			t.Errorf("who has no user in etcd: %v", err)
		}
	}
	variables, _, _ := strings.Cut(block("export ETCDCTL_API"), "\n")
	h.run(t, variables+"\n"+written(t, "Locking a server out")("etcdctl user delete"))
	if err := login(servers["server2"].ledger(t), 2); err == nil || !strings.Contains(err.Error(), "etcdctl user") {
		t.Errorf("a server that was locked out: %v", err)
	}
	if err := login(servers["server1"].ledger(t), 2); err != nil {
		t.Errorf("the other one: %v", err)
	}
}
