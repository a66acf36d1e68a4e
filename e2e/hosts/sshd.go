package hosts

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
)

// SSHD is a running OpenSSH server on a loopback port of the machine whose PAM service it
// has.
type SSHD struct {
	Service string // its PAM service
	Port    int
	place   *network.Namespace
	cmd     *exec.Cmd
	errors  *machine.Buffer
}

// WithCode is OpenSSH's configuration for a password and a code.
var WithCode = []string{
	"PasswordAuthentication no", "KbdInteractiveAuthentication yes", "AuthenticationMethods keyboard-interactive:pam",
}

// knows says whether this sshd has a keyword, which older ones refuse.
func knows(t machine.T, keyword, value string) bool {
	t.Helper()
	key, err := hostKey()
	if err != nil {
		t.Fatalf("%v", err)
	}
	output, err := exec.Command("/usr/sbin/sshd", "-t", "-f", "/dev/null", "-h", key, "-o", keyword+"="+value).CombinedOutput()
	if err == nil {
		return true
	}
	if !strings.Contains(string(output), "Bad configuration option") {
		t.Fatalf("ask sshd whether it knows %s: %v: %s", keyword, err, output)
	}
	return false
}

// program returns the sshd whose PAM service has that name, and the lines of
// configuration for it. OpenSSH 9.8 and later have a keyword; before that the
// service is named as the program is, so that it is started by a link.
func program(t machine.T, service string) (path string, lines []string) {
	t.Helper()
	path = "/usr/sbin/sshd"
	if knows(t, "PerSourcePenalties", "no") {
		// All come from one address, and many are wrong on purpose.
		lines = append(lines, "PerSourcePenalties no")
	}
	if knows(t, "PAMServiceName", service) {
		return path, append(lines, "PAMServiceName "+service)
	}
	link := filepath.Join(machine.Root, "bin", service)
	if err := os.Symlink(path, link); err != nil && !os.IsExist(err) {
		t.Fatalf("name sshd %s: %v", service, err)
	}
	return link, lines
}

// StartSSHD starts the machine's sshd with that PAM service and with the lines
// added to its configuration.
func StartSSHD(t machine.T, service string, lines ...string) *SSHD {
	t.Helper()
	return startSSHD(t, service, "", lines...)
}

// StartSSHDWithoutLog is StartSSHD WithoutLog.
func StartSSHDWithoutLog(t machine.T, logs, service string, lines ...string) *SSHD {
	t.Helper()
	return startSSHD(t, service, logs, lines...)
}

func startSSHD(t machine.T, service, logs string, lines ...string) *SSHD {
	t.Helper()
	key, err := hostKey()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s := &SSHD{Service: service, Port: 2200 + int(ports.Add(1)), place: machine.PlaceOf(t, service), errors: &machine.Buffer{}}
	binary, named := program(t, service)
	if !strings.Contains(strings.Join(lines, "\n"), "LoginGraceTime") {
		named = append(named, "LoginGraceTime 1h") // a busy machine may take longer than two minutes
	}
	all := append([]string{
		"Port " + strconv.Itoa(s.Port), "ListenAddress 127.0.0.1", "HostKey " + key, "PidFile none", "UsePAM yes",
		"UseDNS no", "LogLevel VERBOSE", "MaxStartups 500", "PrintMotd no", "PrintLastLog no",
	}, append(named, lines...)...)
	config := fmt.Sprintf("%s/%s-%d.conf", machine.Root, service, s.Port)
	if err := os.WriteFile(config, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
		t.Fatalf("write sshd's configuration: %v", err)
	}
	s.cmd = exec.Command(binary, "-D", "-f", config)
	s.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	s.cmd.Stderr = s.errors
	if logs != "" {
		machine.WithoutLog(s.cmd, logs)
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.place.Within(t, func() { err = s.cmd.Start() })
	if err != nil {
		t.Fatalf("start sshd: %v", err)
	}
	t.Cleanup(s.stop)
	s.place.Within(t, func() { machine.Until(t, "sshd listens", s.listens) })
	if s.errors.String() != "" {
		t.Fatalf("sshd: %s", s.errors)
	}
	machine.ExpectIn(t, s.place, "sshd", s.PID())
	return s
}

func (s *SSHD) listens() bool {
	if s.errors.String() != "" {
		return true
	}
	connection, err := net.Dial("tcp", s.Address())
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

// stop ends the server and the logins that hang in it.
func (s *SSHD) stop() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait()
}

// Address is where the server listens.
func (s *SSHD) Address() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// Dial connects to the server from the person's address.
func (s *SSHD) Dial(t machine.T, p *machine.Person) net.Conn {
	t.Helper()
	return dial(t, s.place, p.Address, s.Address())
}

// Client returns the OpenSSH client's command for p, which says greeting(p)
// once it is in.
func (s *SSHD) Client(p *machine.Person, options ...string) *exec.Cmd {
	return s.place.Command("ssh", append(SSHOptions(s.Port, p, options...), p.Name+"@127.0.0.1", machine.Greet)...)
}

// Login logs p in with the OpenSSH client.
func (s *SSHD) Login(t machine.T, p *machine.Person, answers machine.Answers, options ...string) machine.Dialogue {
	t.Helper()
	return machine.Open(t, s.Client(p, options...)).Answer(answers, machine.Patience)
}

// PID is the server's process id.
func (s *SSHD) PID() int { return s.cmd.Process.Pid }
