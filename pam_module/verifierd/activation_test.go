package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// activated starts a verifier as systemd does, through a shell that knows its
// own number.
func (p *installation) activated(t *testing.T, files []*os.File, arguments string, env ...string) *process {
	t.Helper()
	command := exec.Command("sh", "-c", fmt.Sprintf("LISTEN_PID=$$ LISTEN_FDS=%d exec %s --config %s %s", len(files), verifierd, p.config, arguments))
	command.ExtraFiles, command.Env = files, append(os.Environ(), env...)
	return launch(t, command)
}

// passed is a listening socket as a file that a process can be given.
func passed(t *testing.T, network, address string) *os.File {
	t.Helper()
	socket, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	file, err := socket.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(file.Close(), socket.Close()) })
	return file
}

// activatedUntil starts verifiers that end when idle, until one of them was in time for
// the login.
func (p *installation) activatedUntil(t *testing.T, socket []*os.File, in <-chan error) {
	t.Helper()
	for {
		process := p.activated(t, socket, "--idle 1s")
		if err := process.wait(t); err != nil {
			t.Errorf("when idle: %v\n%s", err, process.output.Bytes())
		}
		select {
		case err := <-in:
			if err != nil {
				t.Errorf("%v\n%s", err, process.output.Bytes())
			}
			return
		default:
		}
	}
}

// One that nobody asks ends after a second here. On a busy machine that may be over
// before it has taken the login that it was started for: then that is still in the
// queue, and systemd starts another.
func TestActivation(t *testing.T) {
	t.Parallel()
	p := newInstallation(t, "", wide)
	alice := p.enroll(t, "alice")
	if err := os.Mkdir(filepath.Dir(p.socket), 0o755); err != nil {
		t.Fatal(err)
	}
	socket := []*os.File{passed(t, "unix", p.socket)}
	for range 2 {
		// The login waits in the queue until somebody is started for it.
		conn, code := dial(t, p.socket), alice.code(t)
		in := make(chan error, 1)
		go func() {
			verdict, _, err := conn.login(p.start("alice"), code)
			if verdict != wire.Accept {
				err = fmt.Errorf("%v, %w", verdict, err)
			}
			in <- err
		}()
		p.activatedUntil(t, socket, in)
		if _, err := os.Lstat(p.socket); err != nil {
			t.Errorf("it took systemd's socket away: %v", err)
		}
	}
	// A dialogue that is open is not idleness.
	conn := dial(t, p.socket)
	opened := make(chan error, 1)
	go func() { opened <- conn.open(p.start("alice")) }()
	process := p.activated(t, socket, "--idle 1s")
	for waits := true; waits; {
		select {
		case err := <-opened:
			if waits = false; err != nil {
				t.Fatal(err)
			}
		case <-process.ended:
			process = p.activated(t, socket, "--idle 1s")
		}
	}
	select {
	case err := <-process.ended:
		t.Fatalf("it ended with a dialogue open: %v", err)
	case <-time.After(3 * time.Second):
	}
	if verdict, _, err := conn.finish(alice.code(t)); verdict != wire.Accept {
		t.Errorf("%v, %v", verdict, err)
	}
	if err := process.wait(t); err != nil {
		t.Error(err)
	}
}

func TestActivationRefused(t *testing.T) {
	t.Parallel()
	p := newInstallation(t, "", wide)
	unix, tcp := passed(t, "unix", filepath.Join(p.dir, "sock")), passed(t, "tcp", "127.0.0.1:0")
	for want, files := range map[string][]*os.File{
		"systemd passed 2 sockets, expected one":                                            {unix, unix},
		"systemd passed another kind of socket, expected a unix stream socket that listens": {tcp},
	} {
		process := p.activated(t, files, "")
		if err := process.wait(t); err == nil || !strings.Contains(process.output.String(), want) {
			t.Errorf("%v, want %q\n%s", err, want, process.output.Bytes())
		}
	}
}

// The same with systemd's own program.
func TestSystemdSocketActivate(t *testing.T) {
	t.Parallel()
	p := newInstallation(t, "", wide)
	alice := p.enroll(t, "alice")
	if err := os.Mkdir(filepath.Dir(p.socket), 0o755); err != nil {
		t.Fatal(err)
	}
	process := launch(t, exec.Command("systemd-socket-activate", "-l", p.socket, verifierd, "--config", p.config, "--idle", "10s"))
	testwait.Until(t, "a socket", func() bool { return listens(t, p.socket) })
	if verdict, _, err := dial(t, p.socket).login(p.start("alice"), alice.code(t)); verdict != wire.Accept {
		t.Errorf("%v, %v", verdict, err)
	}
	if err := process.wait(t); err != nil {
		t.Errorf("when idle: %v\n%s", err, process.output.Bytes())
	}
}

// listens says whether somebody listens at path, without a connection, which
// would be one to serve. The file is there a little before that.
func listens(t *testing.T, path string) bool {
	t.Helper()
	sockets, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(sockets)) {
		// The fourth column are the flags, of which 0x10000 is __SO_ACCEPTCON.
		fields := strings.Fields(line)
		if len(fields) == 8 && fields[7] == path && fields[3] == "00010000" {
			return true
		}
	}
	return false
}
