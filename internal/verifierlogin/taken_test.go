package verifierlogin

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/testuid"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/internal/wire/wiretest"
)

// lies listens in the verifier's place and says always the same.
func lies(t *testing.T, r *rig, text string) {
	t.Helper()
	listener, err := net.Listen("unix", r.socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = wire.ReadStart(conn)
			_, _ = io.WriteString(conn, text)
			_ = conn.(*net.UnixConn).CloseWrite()
			go func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() }()
		}
	}()
}

// What is no dialogue lets nobody in and takes nothing off.
func TestLies(t *testing.T) {
	verdict := func(payload string) string { return wiretest.Frame(wire.TypeVerdict, payload) }
	prompt := func(payload string) string { return wiretest.Frame(wire.TypePrompt, payload) }
	for name, text := range map[string]string{
		"nothing":                "",
		"no ready":               verdict("\x01"),
		"ready alone":            "L",
		"no such verdict":        "L" + verdict("\x09"),
		"a start":                "L" + wiretest.Frame(wire.TypeStart, "\x01") + verdict("\x01"),
		"many prompts":           "L" + strings.Repeat(prompt("\x03x"), maxPrompts+1) + verdict("\x01"),
		"split of what was not":  "L" + verdict("\x05\x06"),
		"split of another":       "L" + prompt("\x05\x06\x000123456789") + verdict("\x05\x05"),
		"many ends":              "L" + strings.Repeat(prompt("\x05\x06\x000123456789"), maxTails+1) + verdict("\x05\x06"),
		"a question, then a yes": "L" + prompt("\x07x") + verdict("\x01"),
	} {
		r := newRig(t, "")
		lies(t, r, text)
		if verdict := r.login(t, by("alice"), says("123456")); verdict.Decision != gate.Fault || verdict.Rule != "remote" {
			t.Errorf("%s: %+v", name, verdict)
		}
		if n, err := r.Split(t.Context(), by("alice"), ends("secret123456")); n != 0 || err == nil {
			t.Errorf("%s: %d bytes are taken off, %v", name, n, err)
		}
	}
	// Each kind of dialogue has its own questions and verdicts.
	r := newRig(t, "")
	lies(t, r, "L"+prompt("\x05\x06\x000123456789")+verdict("\x05\x06"))
	if verdict := r.login(t, by("alice"), says("123456")); verdict.Decision != gate.Fault {
		t.Errorf("an end of the password for a login: %+v", verdict)
	}
	r = newRig(t, "")
	person := says("123456")
	lies(t, r, "L"+prompt("\x01Code: ")+verdict("\x01"))
	if n, err := r.Split(t.Context(), by("alice"), ends("secret123456")); n != 0 || err == nil {
		t.Errorf("a question before the password: %d, %v", n, err)
	}
	// And the table is about a verifier that is believed.
	if verdict := r.login(t, by("alice"), person); verdict.Decision != gate.Accept {
		t.Errorf("%+v", verdict)
	}
}

// Only a verifier is believed whom root has let listen there.
func TestGenuine(t *testing.T) {
	const other = 1
	for name, test := range map[string]struct {
		mode      os.FileMode
		owner     int // of the directory
		above     int // of the one above
		listener  int
		wantTaken bool
	}{
		"root's":                        {0o755, 0, 0, 0, true},
		"root's, others write":          {0o777, 0, 0, 0, false},
		"root's, another listens":       {0o755, 0, 0, other, false},
		"made by root, its own listens": {0o755, other, 0, other, true},
		"made by root, root listens":    {0o755, other, 0, 0, true},
		"made by another":               {0o755, other, other, other, false},
		"made by another, root listens": {0o755, other, other, 0, false},
	} {
		r := newRig(t, "")
		dir := r.dir + "/run"
		if err := errors.Join(os.Chmod(dir, test.mode), os.Chown(dir, test.owner, -1), os.Chown(r.dir, test.above, -1)); err != nil {
			t.Fatal(err)
		}
		listenAs(t, test.listener, r.socket())
		verdict := r.login(t, by("alice"), says())
		believed := !strings.Contains(verdict.Reason, "expected a verifier of root's")
		if believed != test.wantTaken || verdict.Decision != gate.Fault {
			t.Errorf("%s: %+v", name, verdict)
		}
	}
}

// listenAs listens as another user, and hangs up on everybody.
func listenAs(t *testing.T, uid int, socket string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), socket)
	defer file.Close()
	// The kernel tells of the ids that the thread has when it listens.
	err = errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: socket}), listenWith(fd, uid))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
}

func listenWith(fd, uid int) error {
	return testuid.As(uid, func() error { return unix.Listen(fd, 16) })
}
