package hosts

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// Server is a running server whose clients give a name and one field, which
// it answers every prompt with.
type Server struct {
	Name   string
	client func(p *machine.Person, field string) *exec.Cmd
	other  func(p *machine.Person, field string) *exec.Cmd // nil if there is none
	// in is what the client shows of somebody who is in.
	in func(p *machine.Person) string
	// place is where the client runs, as the server does.
	place *network.Namespace
}

// ByOther is the server with the other one of its clients, nil if it has none.
func (s *Server) ByOther() *Server {
	if s.other == nil {
		return nil
	}
	return &Server{Name: s.Name, client: s.other, in: s.in, place: s.place}
}

// In logs p in with that text in the one field, and says whether p is in.
func (s *Server) In(t machine.T, p *machine.Person, field string) bool {
	t.Helper()
	cmd := s.client(p, field)
	var output []byte
	var err error
	// Clients tell a refusal by their exit status and in words.
	s.place.Within(t, func() { output, err = cmd.CombinedOutput() })
	in := strings.Contains(string(output), s.in(p))
	if !in && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	t.Logf("%s: %s in: %v (%v)", s.Name, p.Name, in, cmd.ProcessState)
	if !in {
		t.Logf("%s", output)
	}
	return in
}

// ports is how many servers have one.
var ports atomic.Int32

// daemon is a directory and a port for a server, and its output. place is where it
// runs, on loopback there.
type daemon struct {
	place *network.Namespace
	// enters is set if its command itself goes to another network than place.
	enters bool
	name   string
	dir    string
	port   string
	output machine.Buffer
}

func newDaemon(t machine.T, name string) *daemon {
	t.Helper()
	port := strconv.Itoa(2200 + int(ports.Add(1)))
	d := &daemon{name: name, dir: filepath.Join(machine.Root, name+"-"+port), port: port}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		t.Fatalf("directory of %s: %v", name, err)
	}
	return d
}

// newDaemonOf is newDaemon for a server that asks that PAM service: it runs on the
// machine whose service that is.
func newDaemonOf(t machine.T, name, service string) *daemon {
	t.Helper()
	d := newDaemon(t, name)
	d.place = machine.PlaceOf(t, service)
	return d
}

func (d *daemon) address() string { return "127.0.0.1:" + d.port }

// write writes a file below the server's directory and returns its path. @DIR@
// and @PORT@ in text stand for the server's: no password made of letters has
// those by chance.
func (d *daemon) write(t machine.T, name, text string) string {
	t.Helper()
	return d.keep(t, name, strings.NewReplacer("@DIR@", d.dir, "@PORT@", d.port).Replace(text))
}

// keep is write for what is to stay as it is, such as a certificate.
func (d *daemon) keep(t machine.T, name, text string) string {
	t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatalf("write %s's file: %v", d.name, err)
	}
	return path
}

// program is keep for what is run.
func (d *daemon) program(t machine.T, name, text string) string {
	t.Helper()
	path := filepath.Join(d.dir, name)
	if err := testprogram.Write(path, []byte(text)); err != nil {
		t.Fatalf("write %s's program: %v", d.name, err)
	}
	return path
}

// start starts the server and waits until it is ready. It is killed with t.
func (d *daemon) start(t machine.T, ready func() bool, command ...string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = d.dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = &d.output, &d.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	d.place.Within(t, func() { err = cmd.Start() })
	if err != nil {
		t.Fatalf("start %s: %v", d.name, err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	hasEnded := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	d.place.Within(t, func() { machine.Until(t, d.name+" is ready", func() bool { return hasEnded() || ready() }) })
	if hasEnded() {
		t.Fatalf("%s ended: %v\n%s", d.name, cmd.ProcessState, d.output.String())
	}
	if !d.enters {
		machine.ExpectIn(t, d.place, d.name, cmd.Process.Pid)
	}
}

func (d *daemon) listens() bool { return listensAt(d.address()) }

func listensAt(address string) bool { return takes("tcp", address) }

// takes says whether somebody listens there. The file of a Unix socket is there before.
func takes(network, address string) bool {
	connection, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

// greetingPage is a web server's page that says who gets it is in, without TLS and
// with it.
func greetingPage(t machine.T, plain, secure *daemon) (http, https *Server) {
	in := func(*machine.Person) string { return "somebody is in" }
	http = &Server{Name: "http", in: in, place: plain.place, client: func(p *machine.Person, field string) *exec.Cmd {
		return curl(p, field, "http://"+plain.address()+"/greeting")
	}}
	https = &Server{Name: "https", in: in, place: secure.place, client: func(p *machine.Person, field string) *exec.Cmd {
		cmd := curl(p, field, "https://"+secure.address()+"/greeting")
		cmd.Args = append(cmd.Args, "--cacert", certificate(t))
		return cmd
	}}
	return http, https
}

// curl gets url as p.
func curl(p *machine.Person, field, url string) *exec.Cmd {
	return exec.Command("curl", "--silent", "--show-error", "--fail", "--max-time", machine.Seconds(machine.Patience), "--interface", p.Address,
		"--user", p.Name+":"+field, url)
}

// greeting is what a client of p is shown that is in.
func greeting(p *machine.Person) string { return fmt.Sprintf("%s is in", p.Name) }
