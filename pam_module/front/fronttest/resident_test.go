package fronttest

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/wire"
)

const (
	asked  = "\x10\x00\x00\x06\x01Code:"
	accept = "\x11\x00\x00\x01\x01"
)

// ready is what takes a login, before all frames.
var ready = string([]byte{wire.Ready})

// near is a plain kit with a core beside it, whose front asks for a verifier
// in a directory of the test's own.
func near(t *testing.T) *Kit {
	t.Helper()
	kit := *kits.plain.forked()
	dir, err := os.MkdirTemp(filepath.Dir(kit.Dir), "near")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	kit.Verifier = filepath.Join(dir, "verifier.sock")
	return &kit
}

// scripted has answer speak to each connection until it returns.
func scripted(t *testing.T, path string, answer func(*net.UnixConn)) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.AcceptUnix()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
}

// say sends each text, the first once the start frame is there, and waits for
// a reply before each further one.
func say(texts ...string) func(*net.UnixConn) {
	return func(conn *net.UnixConn) {
		if _, err := wire.ReadStart(conn); err != nil {
			return
		}
		for i, text := range texts {
			if i > 0 {
				if _, err := conn.Read(make([]byte, 600)); err != nil {
					return
				}
			}
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

func silent(conn *net.UnixConn) { _, _ = io.Copy(io.Discard, conn) }

// Until the verifier has taken a login, a core is forked in its stead; from
// then on its end is the login's end, and nobody is asked twice.
func TestVerifierScripts(t *testing.T) {
	for _, row := range []struct {
		name      string
		arguments string
		script    func(*net.UnixConn)
		forked    bool
		want      string
		asked     int
		atLeast   time.Duration
	}{
		{"says nothing", "", silent, true, "PAM_SUCCESS", 1, 1900 * time.Millisecond},
		{"says nothing, little time", "timeout=3", silent, true, "PAM_SUCCESS", 1, 1400 * time.Millisecond},
		{"closes at once", "", func(*net.UnixConn) {}, true, "PAM_SUCCESS", 1, 0},
		{"declines", "", say(""), true, "PAM_SUCCESS", 1, 0},
		{"another byte", "", say("\x4d" + accept), true, "PAM_SUCCESS", 1, 0},
		{"NUL", "", say("\x00" + ready + accept), true, "PAM_SUCCESS", 1, 0},
		{"verdict before ready", "", say(accept + ready), true, "PAM_SUCCESS", 1, 0},
		{"prompt before ready", "", say(asked + ready + accept), true, "PAM_SUCCESS", 1, 0},
		{"accepts", "", say(ready + accept), false, "PAM_SUCCESS", 0, 0},
		{"asks and accepts", "", say(ready+asked, accept), false, "PAM_SUCCESS", 1, 0},
		{"dies when it has taken it", "", say(ready), false, "PAM_SYSTEM_ERR", 0, 0},
		{"dies within a header", "", say(ready + accept[:3]), false, "PAM_SYSTEM_ERR", 0, 0},
		{"dies within a verdict", "", say(ready + accept[:4]), false, "PAM_SYSTEM_ERR", 0, 0},
		{"dies at its prompt", "", say(ready + asked), false, "PAM_SYSTEM_ERR", 1, 0},
		{"dies after the answer", "", say(ready+asked, ""), false, "PAM_SYSTEM_ERR", 1, 0},
		{"ready twice", "", say(ready + ready + accept), false, "PAM_SYSTEM_ERR", 0, 0},
		{"garbage", "", say(ready + "HTTP/1.0 200 OK\r\n\r\n"), false, "PAM_SYSTEM_ERR", 0, 0},
		{"more after the verdict", "", say(ready + accept + accept), false, "PAM_SYSTEM_ERR", 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			kit, log, service := near(t), NewLog(t), serviceName(t)
			scripted(t, kit.Verifier, row.script)
			kit.Stack(t, service, "protocol=ask debug "+row.arguments)
			// Whoever answers in the end has a few times what the line gives, and
			// where nothing is waited for far more.
			slow := "60"
			if row.atLeast > 0 {
				slow = "8"
			}
			outcome := kit.Login(t, "--service", service, "--dev", log.Dev, "--slow-clock", slow, "--sigchld", "count", "--pipe-stdio", "123456", "123456")
			lines := strings.Join(log.Lines(t), "\n")
			if outcome.Result != row.want || outcome.asked() != row.asked {
				t.Errorf("%s, prompts %v, want %s and %d questions\n%s", outcome.Result, outcome.Prompts, row.want, row.asked, lines)
			}
			if forked := strings.Contains(lines, "core child "); forked != row.forked {
				t.Errorf("a core was forked: %v\n%s", forked, lines)
			}
			if took := time.Duration(outcome.AuthNS); took < row.atLeast {
				t.Errorf("it took %s, want %s at least", took, row.atLeast)
			}
			unchanged(t, outcome)
		})
	}
}

// Where nobody can take the login, nothing is waited for.
func TestVerifierAbsent(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, string){
		"no socket":    func(*testing.T, string) {},
		"no directory": func(t *testing.T, path string) { _ = os.Remove(filepath.Dir(path)) },
		"nobody listens": func(t *testing.T, path string) {
			socket := bound(t, path)
			_ = unix.Close(socket)
		},
		"a file": func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				t.Fatal(err)
			}
		},
		"a datagram socket": func(t *testing.T, path string) {
			socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = socket.Close() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit, log, service := near(t), NewLog(t), serviceName(t)
			prepare(t, kit.Verifier)
			kit.Stack(t, service, "protocol=ask debug")
			outcome := kit.Login(t, "--service", service, "--dev", log.Dev, "123456")
			lines := strings.Join(log.Lines(t), "\n")
			if outcome.Result != "PAM_SUCCESS" || !strings.Contains(lines, "core child ") || !strings.Contains(lines, "no verifier at "+kit.Verifier) {
				t.Errorf("%s\n%s", outcome.Result, lines)
			}
			// Only a queue that is full is waited for, and this is what it is called.
			if strings.Contains(lines, "temporarily unavailable") {
				t.Errorf("it waited\n%s", lines)
			}
			unchanged(t, outcome)
		})
	}
}

// fullQueue is a socket whose queue one connection fills.
func fullQueue(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	socket := bound(t, path)
	if err := unix.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(socket), path)
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	waiting, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = waiting.Close() })
	return listener.(*net.UnixListener)
}

// A queue that is full for a moment is waited for, as a host that cannot fork a
// core has nobody else to ask.
func TestVerifierQueueIsFullForAMoment(t *testing.T) {
	t.Parallel()
	kit, log, service := near(t), NewLog(t), serviceName(t)
	listener := fullQueue(t, kit.Verifier)
	const pause = 300 * time.Millisecond
	go func() {
		time.Sleep(pause) // the front cannot be seen to wait
		for range 2 {
			if conn, err := listener.AcceptUnix(); err == nil {
				go func() { defer conn.Close(); say(ready + accept)(conn) }()
			}
		}
	}()
	kit.Stack(t, service, "protocol=ask debug")
	// The two seconds that the front waits are two minutes: the moment may be long.
	outcome := kit.Login(t, "--service", service, "--dev", log.Dev, "--slow-clock", "60", "--sigchld", "count", "--pipe-stdio", "123456")
	lines := strings.Join(log.Lines(t), "\n")
	if outcome.Result != "PAM_SUCCESS" || outcome.asked() != 0 || strings.Contains(lines, "core child ") {
		t.Errorf("%s, asked %d times\n%s", outcome.Result, outcome.asked(), lines)
	}
	unchanged(t, outcome)
}

// One that stays full is given two seconds, or half of the time that there is.
func TestVerifierQueueStaysFull(t *testing.T) {
	for arguments, atLeast := range map[string]time.Duration{
		"":          1900 * time.Millisecond,
		"timeout=3": 1400 * time.Millisecond,
	} {
		t.Run(arguments, func(t *testing.T) {
			t.Parallel()
			kit, log, service := near(t), NewLog(t), serviceName(t)
			fullQueue(t, kit.Verifier)
			kit.Stack(t, service, "protocol=ask debug "+arguments)
			outcome := kit.Login(t, "--service", service, "--dev", log.Dev, "--slow-clock", "8", "123456")
			lines := strings.Join(log.Lines(t), "\n")
			if outcome.Result != "PAM_SUCCESS" || !strings.Contains(lines, "core child ") || !strings.Contains(lines, "no verifier at "+kit.Verifier) {
				t.Errorf("%s\n%s", outcome.Result, lines)
			}
			if took := time.Duration(outcome.AuthNS); took < atLeast {
				t.Errorf("it took %s, want %s at least", took, atLeast)
			}
			if !strings.Contains(lines, "temporarily unavailable") {
				t.Errorf("expected to be told that the queue is full\n%s", lines)
			}
			unchanged(t, outcome)
		})
	}
}

func bound(t *testing.T, path string) int {
	t.Helper()
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(socket, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return socket
}

func TestVerifierArgument(t *testing.T) {
	t.Parallel()
	kit, service := near(t), serviceName(t)
	own := kit.Verifier
	scripted(t, own, say(ready+accept))
	kit.Verifier = ""
	for arguments, want := range map[string]string{
		"verifier=" + own:                       "PAM_SUCCESS",
		"verifier=off":                          "PAM_AUTH_ERR", // the core's word
		"verifier=/" + strings.Repeat("a", 106): "PAM_AUTH_ERR",
		"verifier=/verifier.sock":               "PAM_AUTH_ERR",
		"verifier=/":                            "PAM_AUTH_ERR",
		"verifier=" + filepath.Dir(own) + "/":   "PAM_AUTH_ERR",
		"verifier=/" + strings.Repeat("a", 107): "PAM_SERVICE_ERR",
		"verifier=run/verifier.sock":            "PAM_SERVICE_ERR",
		"verifier=":                             "PAM_SERVICE_ERR",
		"verifier":                              "PAM_SERVICE_ERR",
		"verifier=OFF":                          "PAM_SERVICE_ERR",
		"verifier=on":                           "PAM_SERVICE_ERR",
		"verifier=off verifier=off":             "PAM_SERVICE_ERR",
		"verifier=off verifier=" + own:          "PAM_SERVICE_ERR",
	} {
		kit.Stack(t, service, "protocol=deny "+arguments)
		if outcome := kit.Login(t, "--service", service); outcome.Result != want {
			t.Errorf("%s: %s, want %s", arguments, outcome.Result, want)
		}
	}
	front, err := os.ReadFile(kit.Front)
	if err != nil {
		t.Fatal(err)
	}
	if path := config.Default().Paths.Socket; !bytes.Contains(front, append([]byte(path), 0)) {
		t.Errorf("the front does not know %s, where the verifier listens by default", path)
	}
}
