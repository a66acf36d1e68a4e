package machine

import (
	"net"
	"os/exec"
	"syscall"
)

// Verifier is a resident verifier that is running.
type Verifier struct {
	cmd    *exec.Cmd
	site   Site
	errors *buffer
	ended  chan struct{}
}

// VerifierOptions vary how it runs.
type VerifierOptions struct {
	// Credential is whom it runs as; nil is root.
	Credential *syscall.Credential
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
	v := &Verifier{cmd: exec.Command(Files+"/otpgate-verifierd", args...), site: site, errors: &buffer{}, ended: make(chan struct{})}
	v.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	v.cmd.Stderr = v.errors
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
	})
	Until(t, "the verifier listens", func() bool { return v.Ended() || v.listens() })
	if v.Ended() {
		t.Fatalf("the verifier of %s: %v: %s", site.Name, v.cmd.ProcessState, v.errors)
	}
	return v
}

// PID is the process id that its log lines have.
func (v *Verifier) PID() int { return v.cmd.Process.Pid }

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
