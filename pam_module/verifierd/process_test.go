package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// verifierd is the command, built once.
var verifierd string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "verifierd-bin")
	if err != nil {
		panic(err)
	}
	verifierd = filepath.Join(dir, "otpgate-verifierd")
	// Opened so that go test takes no old result when only main has changed,
	// which is not part of the test's own program.
	if _, err := os.ReadFile("main.go"); err != nil {
		panic(err)
	}
	if output, err := exec.Command("go", "build", "-o", verifierd, ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, output))
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// process is a running verifier.
type process struct {
	*exec.Cmd
	output bytes.Buffer
	ended  chan error
}

// launch starts command, and kills it at the end of the test.
func launch(tb testing.TB, command *exec.Cmd) *process {
	tb.Helper()
	p := &process{Cmd: command, ended: make(chan error, 1)}
	command.Stdout, command.Stderr = &p.output, &p.output
	started := make(chan error)
	go func() {
		// The signal is sent when the thread ends that started the process.
		runtime.LockOSThread()
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err := command.Start()
		started <- err
		if err == nil {
			p.ended <- command.Wait()
		}
	}()
	if err := <-started; err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = command.Process.Kill() })
	return p
}

// run starts a verifier for the place and waits until it listens.
func (p *installation) run(tb testing.TB, env ...string) *process {
	tb.Helper()
	command := exec.Command(verifierd, "--config", p.config)
	command.Env = append(os.Environ(), env...)
	process := launch(tb, command)
	testwait.Until(tb, "a socket", func() bool {
		conn, err := net.Dial("unix", p.socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return process
}

func (p *process) wait(tb testing.TB) error {
	tb.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		tb.Fatalf("it does not end\n%s", p.output.Bytes())
		return nil
	}
}

// notifications is what systemd would be told.
type notifications struct{ *net.UnixConn }

func listenNotify(t *testing.T, p *installation) (notifications, string) {
	t.Helper()
	path := filepath.Join(p.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return notifications{conn}, "NOTIFY_SOCKET=" + path
}

func (n notifications) expect(t *testing.T, want string) {
	t.Helper()
	_ = n.SetReadDeadline(time.Now().Add(patience))
	message := make([]byte, 1000)
	size, err := n.Read(message)
	if err != nil || !regexp.MustCompile(`^`+want+`$`).Match(message[:size]) {
		t.Errorf("systemd is told %q, %v; want %s", message[:size], err, want)
	}
}

// A dialogue outlives a reload, and the end of the verifier waits for it while
// nobody new is kept.
func TestSignals(t *testing.T) {
	p := newInstallation(t, "", wide)
	told, socket := listenNotify(t, p)
	process := p.run(t, socket)
	told.expect(t, "READY=1")
	alice := p.enroll(t, "alice")
	open := func() front {
		conn := dial(t, p.socket)
		if err := conn.open(p.start("alice")); err != nil {
			t.Fatal(err)
		}
		if _, text, err := conn.read(); err != nil || !strings.Contains(string(text), "code") {
			t.Fatalf("%q, %v", text, err)
		}
		return conn
	}
	finish := func(conn front) {
		t.Helper()
		if err := conn.reply(alice.code(t)); err != nil {
			t.Error(err)
		}
		if verdict, told, err := conn.finish(); verdict != wire.Accept {
			t.Errorf("%v %q %v", verdict, told, err)
		}
	}
	reloaded, ending := open(), open()
	for _, text := range []string{"[policy]\nexempt = [\"@all\"]\n", "broken", wide} {
		p.configure(t, text)
		_ = process.Process.Signal(syscall.SIGHUP)
		told.expect(t, "RELOADING=1\nMONOTONIC_USEC=[0-9]+")
		told.expect(t, "READY=1")
	}
	finish(reloaded)
	_ = process.Process.Signal(syscall.SIGTERM)
	told.expect(t, "STOPPING=1")
	testwait.Until(t, "nobody new", func() bool {
		_, err := net.Dial("unix", p.socket)
		return errors.Is(err, syscall.ENOENT)
	})
	select {
	case err := <-process.ended:
		t.Errorf("it ended with a dialogue open: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	finish(ending)
	if err := process.wait(t); err != nil || len(logLine.ReplaceAll(process.output.Bytes(), nil)) > 0 {
		t.Errorf("%v\n%s", err, process.output.Bytes())
	}
}

// logLine is one of the log, which goes to standard error where the machine that
// runs the tests has no /dev/log.
var logLine = regexp.MustCompile(`(?m)^\w{3} [ \d]\d [\d:]{8} otpgate\[\d+\]: .*\n`)

// What is in the socket's place is replaced if, and only if, it is what a
// verifier has left that was killed.
func TestSocketPlace(t *testing.T) {
	p := newInstallation(t, "", wide)
	alice := p.enroll(t, "alice")
	first := p.run(t)
	second := launch(t, exec.Command(verifierd, "--config", p.config))
	if err := second.wait(t); err == nil || !strings.Contains(second.output.String(), p.socket+": somebody is already listening there") {
		t.Errorf("a second one: %v\n%s", err, second.output.Bytes())
	}
	if verdict, _, err := dial(t, p.socket).login(p.start("alice"), alice.code(t)); verdict != wire.Accept {
		t.Errorf("the first one afterwards: %v, %v", verdict, err)
	}
	_ = first.Process.Kill()
	_ = first.wait(t)
	if _, err := os.Lstat(p.socket); err != nil {
		t.Error(err)
	}
	third := p.run(t)
	if verdict, _, err := dial(t, p.socket).login(p.start("alice"), alice.code(t)); verdict != wire.Accept {
		t.Errorf("after a kill: %v, %v", verdict, err)
	}
	info, err := os.Lstat(p.socket)
	if err != nil || info.Mode() != os.ModeSocket|0o666 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	_ = third.Process.Signal(syscall.SIGTERM)
	_ = third.wait(t)
	for _, row := range []struct {
		name  string
		place func() error
		want  string
	}{
		{"a file", func() error { return os.WriteFile(p.socket, []byte("precious"), 0o600) }, "it is no socket, expected nothing or an old socket there"},
		{"a directory", func() error { return os.Mkdir(p.socket, 0o755) }, "it is no socket"},
		{"a link", func() error { return os.Symlink(p.config, p.socket) }, "it is no socket"},
		{"others may write the directory", func() error { return os.Chmod(filepath.Dir(p.socket), 0o777) }, "directory of the socket: "},
	} {
		if err := row.place(); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(p.socket)
		process := launch(t, exec.Command(verifierd, "--config", p.config))
		if err := process.wait(t); err == nil || !strings.Contains(process.output.String(), row.want) {
			t.Errorf("%s: %v\n%s", row.name, err, process.output.Bytes())
		}
		if after, _ := os.Lstat(p.socket); before != nil && !os.SameFile(before, after) {
			t.Errorf("%s: it was replaced", row.name)
		}
		_ = os.RemoveAll(p.socket)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	p := newInstallation(t, "", "[policy]\nrequre = []\n")
	for _, row := range []struct {
		arguments []string
		status    int
		want      string
	}{
		{[]string{"--version"}, 0, "otpgate-verifierd "},
		{[]string{"--help"}, 0, "Usage: otpgate-verifierd"},
		{[]string{"--nonsense"}, 2, "flag provided but not defined"},
		{[]string{"extra"}, 2, `unexpected argument "extra"`},
		{[]string{"--config", "otpgate.toml"}, 2, "expected an absolute path"},
		{[]string{"--config", p.config}, 1, p.config + ":2"},
		{[]string{"--config", p.config + ".not"}, 1, "no such file"},
	} {
		process := launch(t, exec.Command(verifierd, row.arguments...))
		err := process.wait(t)
		if status := process.ProcessState.ExitCode(); status != row.status || !strings.Contains(process.output.String(), row.want) {
			t.Errorf("%q: status %d, %v\n%s", row.arguments, status, err, process.output.Bytes())
		}
	}
}
