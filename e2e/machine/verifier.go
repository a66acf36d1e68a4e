package machine

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Verifier is a resident verifier that is running.
type Verifier struct {
	cmd    *exec.Cmd
	site   Site
	errors *Buffer
	ended  chan struct{}
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
// killed with t, and must not have ended before.
func StartVerifier(t T, site Site, options VerifierOptions) *Verifier {
	t.Helper()
	var args []string
	if !options.Default {
		args = []string{"--config", site.Config}
	}
	v := &Verifier{cmd: exec.Command(Files+"/otpgate-verifierd", args...), site: site, errors: &Buffer{}, ended: make(chan struct{})}
	v.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	v.cmd.Stderr = v.errors
	if options.Activated {
		v.activate(t)
	}
	if site.Logs != "" {
		WithoutLog(v.cmd, site.Logs)
	}
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: options.Credential}
	if err := v.cmd.Start(); err != nil {
		t.Fatalf("start the verifier: %v", err)
	}
	go func() {
		_ = v.cmd.Wait() // its state says all
		close(v.ended)
	}()
	t.Cleanup(func() {
		if v.Ended() {
			t.Errorf("the verifier of %s ended by itself: %v: %s", site.Name, v.cmd.ProcessState, v.errors)
		}
		v.kill()
		outputs.add("standard error of the verifier of "+site.Name, v.errors.String())
	})
	Until(t, "the verifier listens", func() bool { return v.Ended() || v.listens() })
	if v.Ended() {
		t.Fatalf("the verifier of %s: %v: %s", site.Name, v.cmd.ProcessState, v.errors)
	}
	return v
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

// PID is the process id that its log lines have.
func (v *Verifier) PID() int { return v.cmd.Process.Pid }

// Output is what it wrote to standard error.
func (v *Verifier) Output() string { return v.errors.String() }

// Ended says whether it has.
func (v *Verifier) Ended() bool {
	select {
	case <-v.ended:
		return true
	default:
		return false
	}
}

func (v *Verifier) listens() bool {
	connection, err := net.Dial("unix", v.site.Socket)
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

func (v *Verifier) kill() {
	_ = v.cmd.Process.Kill()
	<-v.ended
}
