package machine

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/otpgate/otpgate/e2e/network"
	"github.com/otpgate/otpgate/internal/testwait"
)

// Verifier is a resident verifier that is running.
type Verifier struct {
	*process
	site   Site
	killed bool
}

// VerifierOptions vary how it runs.
type VerifierOptions struct {
	// Credential is whom it runs as; nil is root.
	Credential *syscall.Credential
	// Activated has it take its socket from root, as from systemd.
	Activated bool
	// Default has it read the default configuration, not the site's.
	Default bool
}

// StartVerifier starts the site's verifier and waits until it listens. It is
// killed with t, and must not have ended by itself before.
func StartVerifier(t T, site Site, options VerifierOptions) *Verifier {
	t.Helper()
	var args []string
	if !options.Default {
		args = []string{"--config", site.Config}
	}
	v := &Verifier{process: newProcess("the verifier of "+site.Name, exec.Command(Files+"/otpgate-verifierd", args...), site.In), site: site}
	if options.Activated {
		v.activate(t)
	}
	if site.Logs != "" {
		WithoutLog(v.cmd, site.Logs)
	}
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: options.Credential}
	v.start(t, v.listens)
	t.Cleanup(func() {
		if v.Ended() && !v.killed {
			t.Errorf("%s ended by itself: %v: %s", v.what, v.cmd.ProcessState, v.errors)
		}
	})
	return v
}

// Kill ends it at once, and waits until it has.
func (v *Verifier) Kill() {
	v.killed = true
	v.process.Kill()
}

// activate makes the socket and passes it as systemd does, see
// sd_listen_fds(3). LISTEN_PID is known once there is a process.
func (v *Verifier) activate(t T) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(v.site.Socket), 0o755); err != nil {
		t.Fatalf("directory of the socket: %v", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: v.site.Socket})
	if err != nil {
		t.Fatalf("socket of the verifier: %v", err)
	}
	t.Cleanup(func() { listener.Close() })
	file, err := listener.File()
	if err := errors.Join(err, os.Chmod(v.site.Socket, 0o666)); err != nil {
		t.Fatalf("socket of the verifier: %v", err)
	}
	v.cmd.ExtraFiles = []*os.File{file}
	v.cmd.Path = "/bin/sh"
	v.cmd.Args = append([]string{"sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh"}, v.cmd.Args...)
}

func (v *Verifier) listens() bool {
	connection, err := net.Dial("unix", v.site.Socket)
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

// StartPage starts the site's page for people, as its own user, and waits until it
// listens at the Unix socket that the configuration names. It is killed with t. pid is its
// process.
func StartPage(t T, site Site, socket string) (pid int) {
	t.Helper()
	p := newProcess("the page of "+site.Name, exec.Command(Files+"/otpgate-portal", "--config", site.Config), site.In)
	credential := CredentialOf(t, "otpgate-portal")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	// As RuntimeDirectory= would, for whoever is allowed to come.
	dir := filepath.Dir(socket)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("directory of the page's socket: %v", err)
	}
	if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
		t.Fatalf("directory of the page's socket: %v", err)
	}
	p.start(t, func() bool {
		connection, err := net.Dial("unix", socket)
		return err == nil && connection.Close() == nil
	})
	return p.PID()
}

// Gateway is a gateway that is running.
type Gateway struct{ *process }

// StartVerifier starts the server's verifier and waits until it listens.
func (s *Server) StartVerifier(t T) {
	t.Helper()
	s.Verifier = StartVerifier(t, s.Site, VerifierOptions{})
}

// StartGateway starts the server's gateway and waits until it listens, if it does. It is
// killed with t.
func (s *Server) StartGateway(t T) {
	t.Helper()
	g := &Gateway{newProcess("the gateway of "+s.Name, exec.Command(Files+"/otpgate-gateway", "--config", s.Config), s.In)}
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: GatewayCredential(t)}
	g.start(t, func() bool {
		if s.Address == "" {
			return true // who waits for it waits at a client
		}
		connection, err := net.Dial("tcp", s.Address)
		return err == nil && connection.Close() == nil
	})
	s.Gateway = g
}

// GatewayCredential is whom gateways run as.
func GatewayCredential(t T) *syscall.Credential {
	t.Helper()
	return CredentialOf(t, gatewayUser)
}

// CredentialOf is a user's of this machine.
func CredentialOf(t T, name string) *syscall.Credential {
	t.Helper()
	account, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("user %s: %v", name, err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		t.Fatalf("user %s: %v", name, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		t.Fatalf("user %s: %v", name, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// Ledger is the socket of the site's otpgate-ledgerd, if it has one, or of its machine's.
func (s Site) Ledger() string {
	if s.ledgerd != "" {
		return s.ledgerd
	}
	return filepath.Join(filepath.Dir(s.Socket), "ledger.sock")
}

// StartLedgerd starts the site's otpgate-ledgerd and waits until it listens at Ledger,
// which the site's configuration must name. It is killed with t.
func StartLedgerd(t T, site Site) {
	t.Helper()
	p := newProcess("the otpgate-ledgerd of "+site.Name, exec.Command(Files+"/otpgate-ledgerd", "--config", site.Config), site.In)
	p.start(t, func() bool {
		connection, err := net.Dial("unix", site.Ledger())
		return err == nil && connection.Close() == nil
	})
}

// process is one of otpgate's own services that is running.
type process struct {
	what   string
	cmd    *exec.Cmd
	in     *network.Namespace
	errors *Buffer
	ended  chan struct{}
}

// newProcess is command as service what in a network namespace, not started yet.
func newProcess(what string, command *exec.Cmd, in *network.Namespace) *process {
	p := &process{what: what, cmd: command, in: in, errors: &Buffer{}, ended: make(chan struct{})}
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	command.Stderr = p.errors
	return p
}

// start starts it, and waits until it listens. It is not killed with t.
func (p *process) start(t T, listens func() bool) {
	t.Helper()
	var err error
	p.in.Within(t, func() { err = p.cmd.Start() })
	if err != nil {
		t.Fatalf("start %s: %v", p.what, err)
	}
	go func() {
		_ = p.cmd.Wait() // its state says all
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Kill()
		outputs.add("standard error of "+p.what, p.errors.String())
	})
	p.in.Within(t, func() { Until(t, p.what+" listens", func() bool { return p.Ended() || listens() }) })
	if p.Ended() {
		t.Fatalf("%s: %v: %s", p.what, p.cmd.ProcessState, p.errors)
	}
	ExpectIn(t, p.in, p.what, p.PID())
}

// PID is the process id that its log lines have.
func (p *process) PID() int { return p.cmd.Process.Pid }

// Output is what it wrote to standard error.
func (p *process) Output() string { return p.errors.String() }

// Ended says whether it has.
func (p *process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Kill ends it at once, and waits until it has.
func (p *process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Signal sends it a signal, such as the one that stops it.
func (p *process) Signal(t T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("signal %s: %v", p.what, err)
	}
	// Its threads go on until each has taken notice of the signal.
	if signal == syscall.SIGSTOP {
		Until(t, "every thread of "+p.what+" has stopped", func() bool { return testwait.Stopped(p.PID()) })
	}
}
