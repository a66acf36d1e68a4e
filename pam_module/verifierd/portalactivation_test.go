package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// Whoever is passed the page's socket alone answers nothing else: another verifier
// decides logins.
func TestPageIsActivated(t *testing.T) {
	p := newInstallation(t, "", "")
	p.configure(t, portalText(p, wide+"[verifier]\nmetrics = \"unix:"+filepath.Join(p.dir, "metrics")+"\"\n"))
	if err := os.Mkdir(filepath.Dir(p.socket), 0o755); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(p.dir, "run", "portal.sock")
	command := exec.Command("sh", "-c", fmt.Sprintf("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=portal exec %s --config %s --idle 0", verifierd, p.config))
	command.ExtraFiles = []*os.File{passed(t, "unix", page)}
	process := launch(t, command)
	conn := dial(t, page) // as root, who is not the page
	if said, err := io.ReadAll(conn); len(said) > 0 || err != nil {
		t.Errorf("root is told %q, %v", said, err)
	}
	for _, path := range []string{p.socket, filepath.Join(p.dir, "metrics")} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
	_ = process.Process.Signal(syscall.SIGTERM)
	if err := process.wait(t); err != nil {
		t.Errorf("%v\n%s", err, process.output.Bytes())
	}
	if _, err := os.Lstat(page); err != nil {
		t.Errorf("it took systemd's socket away: %v", err)
	}
	tcp := exec.Command("sh", "-c", fmt.Sprintf("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=portal exec %s --config %s", verifierd, p.config))
	tcp.ExtraFiles = []*os.File{passed(t, "tcp", "127.0.0.1:0")}
	refused := launch(t, tcp)
	if err := refused.wait(t); err == nil || !strings.Contains(refused.output.String(), "systemd passed another kind of socket for the page") {
		t.Errorf("%v\n%s", err, refused.output.Bytes())
	}
}

// By hand one verifier answers both, and takes its sockets away in the end.
func TestBothSockets(t *testing.T) {
	p := newInstallation(t, "", "")
	p.configure(t, portalText(p, wide))
	process := p.run(t)
	page := filepath.Join(p.dir, "run", "portal.sock")
	testwait.Until(t, "the page's socket", func() bool {
		conn, err := net.Dial("unix", page)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	_ = process.Process.Signal(syscall.SIGTERM)
	if err := process.wait(t); err != nil {
		t.Errorf("%v\n%s", err, process.output.Bytes())
	}
	for _, path := range []string{p.socket, page} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// A page that cannot be answered keeps nobody from logging in.
func TestNoSocketForThePage(t *testing.T) {
	p := newInstallation(t, "", "")
	p.configure(t, wide+"[portal]\nurl = 'https://otp.example.com'\nsocket = '"+filepath.Join(p.dir, "no", "such", "portal.sock")+"'\n")
	process := p.run(t)
	alice := p.enroll(t, "alice")
	if verdict, told, err := dial(t, p.socket).login(p.start("alice"), alice.code(t)); verdict != wire.Accept {
		t.Errorf("a login: %v %q %v", verdict, told, err)
	}
	_ = process.Process.Signal(syscall.SIGTERM)
	if err := process.wait(t); err != nil || !strings.Contains(process.output.String(), "portal.socket: ") {
		t.Errorf("%v\n%s", err, process.output.Bytes())
	}
}
