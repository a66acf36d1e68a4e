package fronttest

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/wire"
)

// withoutCore is near without a core beside the front.
func withoutCore(t *testing.T) *Kit {
	t.Helper()
	kit := near(t)
	dir := filepath.Dir(kit.Verifier)
	front := filepath.Join(dir, "pam_otpgate.so")
	if err := os.Link(kit.Front, front); err != nil {
		t.Fatal(err)
	}
	kit.Front, kit.Core = front, filepath.Join(dir, "pam_otpgate_core.so")
	return kit
}

// Where there is no core to turn to, the verifier is given all of the login's time.
func TestVerifierIsSlow(t *testing.T) {
	const slow = 2500 * time.Millisecond // the front waits for two seconds where it has a core
	slowly := func(conn *net.UnixConn) {
		if _, err := wire.ReadStart(conn); err == nil {
			time.Sleep(slow) // the front cannot be seen to wait
			_, _ = io.WriteString(conn, ready+accept)
		}
	}
	t.Run("takes it", func(t *testing.T) {
		t.Parallel()
		kit, service := withoutCore(t), serviceName(t)
		scripted(t, kit.Verifier, slowly)
		kit.Stack(t, service, "protocol=ask timeout=600")
		if outcome := kit.Login(t, "--service", service, "--slow-clock", realClock); outcome.Result != "PAM_SUCCESS" {
			t.Errorf("%+v", outcome)
		}
	})
	t.Run("takes it from a full queue", func(t *testing.T) {
		t.Parallel()
		kit, service := withoutCore(t), serviceName(t)
		listener := fullQueue(t, kit.Verifier)
		go func() {
			time.Sleep(slow)
			for range 2 {
				if conn, err := listener.AcceptUnix(); err == nil {
					go func() { defer conn.Close(); say(ready + accept)(conn) }()
				}
			}
		}()
		kit.Stack(t, service, "protocol=ask timeout=600")
		if outcome := kit.Login(t, "--service", service, "--slow-clock", realClock); outcome.Result != "PAM_SUCCESS" {
			t.Errorf("%+v", outcome)
		}
	})
	for name, script := range map[string]func(*net.UnixConn){"never takes it": silent, "declines": say("")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit, log, service := withoutCore(t), NewLog(t), serviceName(t)
			scripted(t, kit.Verifier, script)
			timeout := " timeout=600"
			if name == "never takes it" {
				timeout = " timeout=3"
			}
			kit.Stack(t, service, "protocol=ask"+timeout)
			outcome := kit.Login(t, "--service", service, "--dev", log.Dev, "--slow-clock", realClock)
			lines := strings.Join(log.Lines(t), "\n")
			if outcome.Result != "PAM_SYSTEM_ERR" || !strings.Contains(lines, kit.Core+": expected the core there") {
				t.Errorf("%s\n%s", outcome.Result, lines)
			}
			if took := time.Duration(outcome.AuthNS); name == "never takes it" && took < 2900*time.Millisecond {
				t.Errorf("it took %s, want 2.9 s at least", took)
			}
		})
	}
}

// A login for which the front has turned to a core cannot be taken any more.
func TestVerifierIsTooLate(t *testing.T) {
	t.Parallel()
	kit, service := near(t), serviceName(t)
	sent := make(chan error, 1)
	scripted(t, kit.Verifier, func(conn *net.UnixConn) {
		silent(conn) // until the front has gone
		_, err := io.WriteString(conn, ready+accept)
		sent <- err
	})
	kit.Stack(t, service, "protocol=ask")
	outcome := kit.Login(t, "--service", service, "--slow-clock", realClock, "123456")
	if outcome.Result != "PAM_SUCCESS" || outcome.asked() != 1 {
		t.Errorf("%s, prompts %v", outcome.Result, outcome.Prompts)
	}
	if err := <-sent; !errors.Is(err, unix.EPIPE) {
		t.Errorf("the verifier could take it: %v", err)
	}
}

// One that the verifier took in time is the verifier's, also where the front's
// process gets to look only later.
func TestVerifierIsSeenLate(t *testing.T) {
	t.Parallel()
	kit, log, service := near(t), NewLog(t), serviceName(t)
	const times = "4"
	const patience = 4 * 2 * time.Second
	scripted(t, kit.Verifier, func(conn *net.UnixConn) {
		if _, err := wire.ReadStart(conn); err != nil {
			return
		}
		host, err := peerOf(conn)
		if err == nil {
			err = unix.Kill(host, unix.SIGSTOP)
		}
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, ready+accept)
		time.Sleep(patience + 500*time.Millisecond) // until the front's time is over
		_ = unix.Kill(host, unix.SIGCONT)
	})
	kit.Stack(t, service, "protocol=ask debug")
	outcome := kit.Login(t, "--service", service, "--dev", log.Dev, "--slow-clock", times)
	lines := strings.Join(log.Lines(t), "\n")
	if outcome.Result != "PAM_SUCCESS" || outcome.asked() != 0 || strings.Contains(lines, "core child ") {
		t.Errorf("%s, prompts %v\n%s", outcome.Result, outcome.Prompts, lines)
	}
}

// peerOf is the process at the other end.
func peerOf(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	controlled := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(controlled, err); err != nil {
		return 0, err
	}
	return int(peer.Pid), nil
}
