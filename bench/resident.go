package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/fronts"
)

const (
	forkedLabel   = "otpgate forked"
	residentLabel = "otpgate resident"
	// They stand in a column of 26 characters.
	encryptedLabel         = "otpgate forked, encrypted"
	residentEncryptedLabel = "otpgate res., encrypted"
)

// residentService is a PAM service that has the verifier of a site decide.
func residentService(site string) (name string, err error) {
	name = "by-" + site
	return name, service(name, fmt.Sprintf("%s/%s/pam_otpgate.so config=%s verifier=%s", disk, realCore, configOf(site), socketOf(site)))
}

// siteOf undoes it.
func siteOf(s *side) string { return s.people[0].service[len("by-"):] }

// lone is the ledger's file of the only person of a site. One verifier serves
// one site, and one person has three codes in half a minute; so, between that
// person's logins, the file is put back to what it was.
// Sides of many people have none.
type lone struct{ path, text string }

// forget makes the next login the first one again.
func (l *lone) forget() error {
	if l == nil {
		return nil
	}
	return os.Remove(l.path)
}

// putBack writes in place, as the ledger does, and leaves nothing for the disk
// to do later.
func (l *lone) putBack() error {
	if l == nil {
		return nil
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte(l.text), 0)
	return errors.Join(err, file.Sync(), file.Close())
}

// residentAlone makes a site of one person, who logs in again and again.
func residentAlone(site, state string, n int, m model) (*side, error) {
	users, err := otpgateSite(site, realCore, state)
	if err != nil {
		return nil, err
	}
	ledger := filepath.Join(state, "users")
	if err := newcomer(users, ledger, "alone", m); err != nil {
		return nil, err
	}
	through, err := residentService(site)
	if err != nil {
		return nil, err
	}
	entry, err := usedEntry("alone")
	if err != nil {
		return nil, err
	}
	s := &side{label: residentLabel, every: 1, alone: &lone{filepath.Join(ledger, "alone"), entry}}
	for range n {
		s.people = append(s.people, &person{service: through, name: "alone"})
	}
	return s, nil
}

// relayed is the front with a verifier that asks and accepts at once.
func relayed(n int) (*side, error) {
	const site = "relayed"
	if _, err := otpgateSite(site, realCore, memory+"/"+site); err != nil {
		return nil, err
	}
	through, err := residentService(site)
	s := &side{every: 1}
	for range n {
		s.people = append(s.people, &person{service: through, name: "anybody"})
	}
	return s, err
}

// startVerifiers starts one for the site of each side, and the two programs of a
// server if there is one. end, which must be called in any case, ends them.
func startVerifiers(server *remote, real []*side, hollow ...*side) (end func(), err error) {
	var running []*exec.Cmd
	end = func() {
		for _, cmd := range running {
			_ = cmd.Process.Kill() // nothing is lost
			_ = cmd.Wait()
		}
	}
	run := func(cmd *exec.Cmd) error {
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := withSlack(slack, cmd.Start); err != nil {
			return fmt.Errorf("start %q: %w", cmd.Args, err)
		}
		running = append(running, cmd)
		return nil
	}
	start := func(site string, words ...string) error {
		// Like the host: before its neighbours.
		if err := run(exec.Command("nice", append([]string{"-n", "-15"}, words...)...)); err != nil {
			return err
		}
		return awaitSocket(socketOf(site))
	}
	if server != nil {
		gateway, err := server.gateway()
		if err != nil {
			return end, err
		}
		if err := errors.Join(start(server.site, disk+"/"+verifierFile, "--config", server.config()), run(gateway)); err != nil {
			return end, err
		}
	}
	for _, s := range real {
		if s.shared {
			if err := run(ledgerd(siteOf(s))); err != nil {
				return end, err
			}
			if err := awaitSocket(ledgerSocketOf(siteOf(s))); err != nil {
				return end, err
			}
		}
		if err := start(siteOf(s), disk+"/"+verifierFile, "--config", configOf(siteOf(s))); err != nil {
			return end, err
		}
	}
	for _, s := range hollow {
		if err := start(siteOf(s), os.Args[0], "-hollow-verifier", socketOf(siteOf(s))); err != nil {
			return end, err
		}
	}
	return end, nil
}

// slack is TimerSlackNSec= of the verifier's unit. exact is as little as there can be.
const (
	slack = 500 * time.Microsecond
	exact = time.Nanosecond
)

// withSlack does something on a thread whose timers may be late by so much,
// which the processes that it starts inherit. See PR_SET_TIMERSLACK in prctl(2).
func withSlack(slack time.Duration, do func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
		return fmt.Errorf("set the slack of timers: %w", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // what it was
	return do()
}

func awaitSocket(path string) error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			return fmt.Errorf("wait for the verifier: %w", err)
		}
	}
}

// serveHollow answers as verifierd does, without an engine.
func serveHollow(path string) error {
	socket, err := fronts.ListenAt(path)
	if err != nil {
		return err
	}
	admit := func(conn *fronts.Conn) func() {
		return func() {
			defer conn.Close()
			_ = hollowDialogue(conn) // its peer says what went wrong
		}
	}
	if _, err := fronts.Accept(socket, admit, func(reason string) { fmt.Fprintln(os.Stderr, "bench:", reason) }); err != nil {
		return err
	}
	select {}
}

func hollowDialogue(conn *fronts.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := wire.ReadStart(conn); err != nil {
		return err
	}
	peer := wire.Peer{Stream: &afterReady{ReadWriter: conn}}
	if _, err := peer.Ask(wire.EchoOff, gate.Prompt); err != nil {
		return err
	}
	return peer.End(wire.Accept)
}

// afterReady sends Ready with the first frame, as verifierd does.
type afterReady struct {
	io.ReadWriter
	sent bool
}

// Write implements [io.Writer].
func (a *afterReady) Write(p []byte) (int, error) {
	if a.sent {
		return a.ReadWriter.Write(p)
	}
	a.sent = true
	n, err := a.ReadWriter.Write(append([]byte{wire.Ready}, p...))
	return max(0, n-1), err
}
