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
	"time"

	"github.com/otpgate/otpgate/e2e/machine"
)

// SFTPD is a running otpgate-sftpd on a loopback port of its site's machine.
type SFTPD struct {
	Site     machine.Site
	Port     int
	programs string
	cmd      *exec.Cmd
	said     string // a file with all that it and its parts wrote to standard error
	ended    chan struct{}
	told     bool // to end
}

// StartSFTPD starts the site's sftpd for a stack with the machine's password
// stage, and waits until it listens. text is the configuration, and table what
// is added to its table [sftp]. It is killed with t, and must not have ended
// before.
func StartSFTPD(t machine.T, site machine.Site, text, table string) *SFTPD {
	t.Helper()
	return StartSFTPDFrom(t, machine.Files, site, text, table)
}

// StartSFTPDFrom starts the programs in that directory.
func StartSFTPDFrom(t machine.T, programs string, site machine.Site, text, table string) *SFTPD {
	t.Helper()
	key, err := hostKey()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s := &SFTPD{Site: site, programs: programs, Port: 2200 + int(ports.Add(1)), ended: make(chan struct{})}
	site.WriteService(t, s.Service(), "@include common-auth\n@include common-account\n@include common-password\n@include common-session\n")
	defaults := [][2]string{
		{"listen", fmt.Sprintf("[%q]", s.Address())}, {"host_keys", fmt.Sprintf("[%q]", key)}, {"pam_service", strconv.Quote(s.Service())},
		{"front_user", `"nobody"`},
	}
	lines := ""
	for _, d := range defaults {
		if !strings.Contains("\n"+table, "\n"+d[0]) {
			lines += d[0] + " = " + d[1] + "\n"
		}
	}
	site.ConfigureWith(t, text, "\n[sftp]\n"+lines+table)
	s.start(t)
	return s
}

// Service is the PAM service.
func (s *SFTPD) Service() string { return "sftpd-" + s.Site.Name }

// Run is the directory that it makes for its fronts.
func (s *SFTPD) Run() string { return "/run/otpgate-sftpd-" + s.Site.Name }

func (s *SFTPD) start(t machine.T) {
	t.Helper()
	s.cmd = exec.Command(s.programs+"/otpgate-sftpd", "--config", s.Site.Config, "--run", s.Run())
	s.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	// A file has what was written as soon as it is. A pipe's other end would have
	// to be read to its end, and the parts may outlive the broker.
	said, err := os.CreateTemp(machine.Root+"/tmp", "sftpd-"+s.Site.Name)
	if err != nil {
		t.Fatalf("standard error of sftpd: %v", err)
	}
	defer said.Close()
	s.said, s.cmd.Stderr = said.Name(), said
	// As of a shell of root's: for descriptors that its parts have no use for.
	s.cmd.ExtraFiles = []*os.File{said, said, said, said}
	if s.Site.Logs != "" {
		machine.WithoutLog(s.cmd, s.Site.Logs)
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.Site.In.Within(t, func() { err = s.cmd.Start() })
	if err != nil {
		t.Fatalf("start sftpd: %v", err)
	}
	go func() {
		_ = s.cmd.Wait() // its state says all
		close(s.ended)
	}()
	t.Cleanup(func() {
		if s.Ended() && !s.told {
			t.Errorf("sftpd of %s ended by itself: %v: %s", s.Site.Name, s.cmd.ProcessState, s.Output())
		}
		_ = s.cmd.Process.Kill()
		<-s.ended
		machine.KeepOutput("standard error of sftpd of "+s.Site.Name, s.Output())
		if strings.Contains(s.Output(), "panic") {
			t.Errorf("sftpd: %s", s.Output())
		}
	})
	s.Site.In.Within(t, func() { machine.Until(t, "sftpd listens", func() bool { return s.Ended() || s.listens() }) })
	if s.Ended() {
		t.Fatalf("sftpd of %s: %v: %s", s.Site.Name, s.cmd.ProcessState, s.Output())
	}
	machine.ExpectIn(t, s.Site.In, "sftpd of "+s.Site.Name, s.PID())
}

// Ended says whether it has.
func (s *SFTPD) Ended() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Output is what it and its parts wrote to standard error.
func (s *SFTPD) Output() string {
	text, err := os.ReadFile(s.said)
	if err != nil {
		return fmt.Sprintf("standard error cannot be read: %v", err)
	}
	return string(text)
}

// PID is the broker's process id.
func (s *SFTPD) PID() int { return s.cmd.Process.Pid }

func (s *SFTPD) listens() bool {
	connection, err := net.Dial("tcp", s.Address())
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

// Address is where the server listens.
func (s *SFTPD) Address() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// Dial connects to the server from an address of its machine.
func (s *SFTPD) Dial(t machine.T, from string) net.Conn {
	t.Helper()
	return dial(t, s.Site.In, from, s.Address())
}

// Signal sends the broker a signal.
func (s *SFTPD) Signal(t machine.T, signal syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("signal sftpd: %v", err)
	}
}

// WaitEnd waits until the broker has ended, as it was told to.
func (s *SFTPD) WaitEnd(t machine.T) {
	t.Helper()
	select {
	case <-s.ended:
		s.told = true
	case <-time.After(machine.Patience):
		t.Fatalf("sftpd has not ended: %s", s.Output())
	}
}

// SSHOptions are what OpenSSH's programs need to reach the server as p.
func (s *SFTPD) SSHOptions(p *machine.Person, options ...string) []string {
	return SSHOptions(s.Port, p, options...)
}

// Batch is OpenSSH's sftp with commands for p, as in Dialogue.In if it is in.
func (s *SFTPD) Batch(t machine.T, p *machine.Person, options []string, commands ...string) *exec.Cmd {
	t.Helper()
	file, err := os.CreateTemp(machine.Root+"/tmp", "batch")
	if err != nil {
		t.Fatalf("batch: %v", err)
	}
	defer file.Close()
	lines := append([]string{"!echo " + p.Name + ` is" "in`}, commands...)
	if _, err := file.WriteString(strings.ReplaceAll(strings.Join(lines, "\n"), `" "`, " ") + "\n"); err != nil {
		t.Fatalf("batch: %v", err)
	}
	args := append(s.SSHOptions(p, options...), "-o", "BatchMode=no", "-b", file.Name(), p.Name+"@127.0.0.1")
	cmd := s.Site.In.Command("sftp", args...)
	cmd.Dir = filepath.Dir(file.Name())
	return cmd
}

// Login runs commands in OpenSSH's sftp.
func (s *SFTPD) Login(t machine.T, p *machine.Person, answers machine.Answers, options []string, commands ...string) machine.Dialogue {
	t.Helper()
	return machine.Open(t, s.Batch(t, p, options, commands...)).Answer(answers, machine.Patience)
}
