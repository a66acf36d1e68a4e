package hosts

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/otpgate/otpgate/e2e/machine"
)

// StartXRDP starts xrdp's session manager, which asks PAM for the service
// xrdp-sesman. Its client is the one that comes with it and starts a session; what
// the session would show is a process that does nothing.
func StartXRDP(t machine.T) *Server {
	t.Helper()
	d := newDaemon(t, "xrdp")
	idle := d.write(t, "idle", "#!/bin/sh\nexec sleep 3600\n")
	if err := os.Chmod(idle, 0o755); err != nil {
		t.Fatalf("xrdp: %v", err)
	}
	// From 0.10 on it listens on a socket, and has a program for each session.
	port, ready := "@PORT@", func() bool {
		return exec.Command("ip", "netns", "exec", "xrdp-"+d.port, "bash", "-c", "</dev/tcp/localhost/"+d.port).Run() == nil
	}
	if program, err := filepath.Glob("/usr/lib/*/xrdp/xrdp-sesexec"); err == nil && len(program) > 0 {
		port = "@DIR@/socket"
		ready = func() bool {
			_, err := os.Stat(filepath.Join(d.dir, "socket"))
			return err == nil
		}
	}
	config := d.write(t, "sesman.ini", `[Globals]
ListenAddress=0.0.0.0
ListenPort=`+port+`
EnableUserWindowManager=false
DefaultWindowManager=`+idle+`
[Security]
AllowRootLogin=false
MaxLoginRetry=4
[Sessions]
X11DisplayOffset=10
MaxSessions=50
Policy=Default
[Logging]
LogFile=@DIR@/log
LogLevel=INFO
EnableSyslog=false
[Xvnc]
param=`+idle+`
`)
	// Its client finds no address where there is none but the loopback's.
	network := "xrdp-" + d.port
	machine.Command(t, "", "ip", "netns", "add", network)
	machine.Command(t, "", "ip", "-n", network, "link", "set", "lo", "up")
	machine.Command(t, "", "ip", "-n", network, "addr", "add", "fd00::1/128", "dev", "lo")
	d.start(t, ready, "ip", "netns", "exec", network, "/usr/sbin/xrdp-sesman", "-n", "-c", config)
	return &Server{Name: "xrdp", in: func(*machine.Person) string { return " display=:" }, client: func(p *machine.Person, field string) *exec.Cmd {
		return exec.Command("ip", "netns", "exec", network, "/usr/bin/xrdp-sesrun", "-c", config, "-t", "Xvnc", "-p", field, p.Name)
	}}
}
