package verifierlogin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/testwait"
)

// window lets a code of the last minutes count, on a machine that is slow.
const window = "[totp]\nwindow = 10\n[policy.attempts]\nper_window = 100\n"

// The verifier decides as an engine here would, and says by which rule.
func TestLoginByTheVerifier(t *testing.T) {
	r := newRig(t, window+"[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\nexempt = [\"robot\"]\nsessions = { sftp = \"1h\" }\n")
	r.start(t)
	right, unproven, password := code(t, 0), by("bob"), says()
	unproven.Unproven = true
	password.answers = []gate.Answer{{Password: true}, {Password: true}}
	elsewhere := by("alice")
	elsewhere.RemoteHost = "192.0.2.8"
	for _, test := range []struct {
		name    string
		request gate.Request
		person  *script
		want    gate.Verdict
		told    string
	}{
		{"wrong", by("alice"), says("000000x", "1", "2"), gate.Verdict{Decision: gate.TooMany, Rule: "policy.attempts.per_login"}, "!That is no code."},
		{"too long", by("alice"), says(strings.Repeat("1", 600)), gate.Verdict{Decision: gate.Deny, Rule: "no-answer"}, ""},
		{"no answer", by("alice"), says(), gate.Verdict{Decision: gate.Deny, Rule: "no-answer"}, "Verification code: "},
		{"password", by("alice"), password, gate.Verdict{Decision: gate.TooMany, Rule: "password-repeated"}, "!That was your password."},
		{"right", by("alice"), says(right), gate.Verdict{Decision: gate.Accept, Rule: "totp:phone"}, ""},
		{"remembered", by("alice"), says(), gate.Verdict{Decision: gate.NotAsked, Rule: "policy.session"}, ""},
		{"used", elsewhere, says(right), gate.Verdict{Decision: gate.Deny, Rule: "no-answer"}, "!That code has been used."},
		{"unproven", unproven, says(), gate.Verdict{Decision: gate.TooMany, Rule: "policy.unenrolled"}, "!A verification code is required"},
		{"enrolling", by("bob"), says(), gate.Verdict{Decision: gate.Deny, Rule: "policy.unenrolled"}, "A verification code from an authenticator app"},
	} {
		if verdict := r.login(t, test.request, test.person); verdict != test.want || !strings.Contains(test.person.told, test.told) {
			t.Errorf("%s: %+v, expected %+v; told %q", test.name, verdict, test.want, test.person.told)
		}
		if here, decided := r.log.take(), r.decided.take(); len(here) != 0 || !reflect.DeepEqual(decided, []string{test.want.Decision.String() + " " + test.want.Rule}) {
			t.Errorf("%s: logged here %q, counted %q", test.name, here, decided)
		}
	}
	if verdict := r.login(t, by("robot"), says()); verdict.Rule != "policy.exempt" || len(r.decided.take()) > 0 || len(r.log.take()) != 1 {
		t.Errorf("exempt: %+v", verdict)
	}
}

// What has the form of a code is taken off a password by the verifier's word, and its
// code answers the first question.
func TestSplitByTheVerifier(t *testing.T) {
	r := newRig(t, window)
	r.start(t)
	for _, test := range []struct {
		user, password string
		want           int
	}{{"alice", "secret123456", 6}, {"alice", "secret", 0}, {"alice", "123456", 0}, {"bob", "secret123456", 0}} {
		r.paused = 0
		if n, err := r.Split(t.Context(), by(test.user), ends(test.password)); n != test.want || err != nil {
			t.Errorf("%s of %s: %d, %v", test.password, test.user, n, err)
		}
		if r.paused == 0 || r.paused > leastSplit {
			t.Errorf("%s of %s: waited for %s", test.password, test.user, r.paused)
		}
	}
	request := by("alice")
	request.AfterSplit, request.CodeBehind = true, true
	if verdict := r.login(t, request, says(code(t, 0))); verdict.Decision != gate.Accept {
		t.Errorf("%+v", verdict)
	}
	if like, err := r.EndsLikeCode(ends("secret")); !like || err != nil {
		t.Errorf("%v, %v", like, err)
	}
}

// Without a verifier those who are never asked are in, and all others are denied, with
// a line that says what to look at.
func TestNoVerifier(t *testing.T) {
	r := newRig(t, "[policy]\nexempt = [\"robot\"]\ntrusted_networks = [\"198.51.100.0/24\"]\n")
	trusted := by("alice")
	trusted.RemoteHost = "198.51.100.7"
	for _, request := range []gate.Request{by("robot"), trusted} {
		if n, err := r.Split(t.Context(), request, ends("secret123456")); n != 0 || err != nil {
			t.Errorf("%+v: %d, %v", request, n, err)
		}
		if verdict := r.login(t, request, says()); verdict.Decision != gate.NotAsked {
			t.Errorf("%+v: %+v", request, verdict)
		}
	}
	r.log.take()
	person := says("123456")
	verdict := r.login(t, by("alice"), person)
	if verdict.Decision != gate.Fault || verdict.Rule != "remote" || !strings.Contains(verdict.Reason, r.socket()+": connect: no such file or directory; see systemctl status otpgate-verifierd.socket") {
		t.Errorf("%+v", verdict)
	}
	if !strings.Contains(person.told, "cannot be checked now") {
		t.Errorf("told %q", person.told)
	}
	if n, err := r.Split(t.Context(), by("alice"), ends("secret123456")); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if lines := r.log.take(); !reflect.DeepEqual(lines, []string{"fault remote", "fault remote"}) {
		t.Errorf("logged %q", lines)
	}
}

// A verifier that dies while somebody types lets nobody in, and is not asked again.
func TestVerifierKilled(t *testing.T) {
	r := newRig(t, window)
	process := r.start(t)
	person := says(code(t, 0))
	person.typing = func() {
		_ = process.Process.Kill()
		testwait.Until(t, "the verifier has ended", func() bool { return process.Process.Signal(syscall.Signal(0)) != nil })
	}
	if verdict := r.login(t, by("alice"), person); verdict.Decision != gate.Fault || verdict.Rule != "remote" {
		t.Errorf("%+v", verdict)
	}
}

// One that hangs is waited for until the login's time is over, or nobody waits for it.
func TestVerifierHangs(t *testing.T) {
	for name, why := range map[string]error{"time over": context.DeadlineExceeded, "given up": context.Canceled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, window)
			process := r.start(t)
			// It ends once the verifier hangs, however long the machine takes until then.
			ctx := endedContext{t.Context(), make(chan struct{}), why}
			person := says(code(t, 0))
			person.typing = func() {
				testwait.Stop(t, process.Process.Pid)
				close(ctx.ended)
			}
			if verdict := r.Login(ctx, by("alice"), person); verdict.Decision != gate.Fault || !strings.Contains(verdict.Reason, "it did not decide in time") {
				t.Errorf("%+v", verdict)
			}
		})
	}
}

// endedContext is one that ends when it is told so.
type endedContext struct {
	context.Context
	ended chan struct{}
	why   error
}

func (c endedContext) Done() <-chan struct{} { return c.ended }

func (c endedContext) Err() error {
	select {
	case <-c.ended:
		return c.why
	default:
		return nil
	}
}

// A login that is too late before the verifier has heard of it is told so as well.
func TestTooLateToBegin(t *testing.T) {
	r := newRig(t, "")
	listener, err := net.Listen("unix", r.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r.patience = time.Nanosecond
	for range 20 {
		if verdict := r.login(t, by("alice"), says()); verdict.Decision != gate.Fault || !strings.Contains(verdict.Reason, "it did not answer in time") {
			t.Errorf("%+v", verdict)
		}
	}
}

// systemd has the socket and starts the verifier once somebody connects: whoever that
// is waits for it.
func TestActivated(t *testing.T) {
	r := newRig(t, window)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: r.socket()})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	verdict := make(chan gate.Verdict)
	go func() { verdict <- r.login(t, by("alice"), says(code(t, 0))) }()
	socket, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	waitForFront(t, socket)
	r.launch(t, exec.Command("/bin/sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh", verifierd, "--config", r.Config), socket)
	if v := <-verdict; v.Decision != gate.Accept {
		t.Errorf("%+v", v)
	}
}

// waitForFront waits until somebody is in the queue of a socket.
func waitForFront(t *testing.T, socket *os.File) {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(socket.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
}

// One that takes no login is waited for as long as is usual, and no longer.
func TestVerifierDoesNotAnswer(t *testing.T) {
	r := newRig(t, window)
	process := r.start(t)
	testwait.Stop(t, process.Process.Pid)
	r.patience = 20 * time.Millisecond
	if verdict := r.login(t, by("alice"), says(code(t, 0))); verdict.Decision != gate.Fault || !strings.Contains(verdict.Reason, "it did not answer in time") {
		t.Errorf("%+v", verdict)
	}
	if n, err := r.Split(t.Context(), by("alice"), ends("secret123456")); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if usualPatience != 10*time.Second {
		t.Errorf("the usual patience is %s", usualPatience)
	}
}

// A verifier of another configuration takes no login.
func TestAnotherConfiguration(t *testing.T) {
	r := newRig(t, window)
	r.start(t)
	r.Config = "/etc/otpgate/another.toml"
	if verdict := r.login(t, by("alice"), says(code(t, 0))); verdict.Decision != gate.Fault || !strings.Contains(verdict.Reason, "does not take this login") {
		t.Errorf("%+v", verdict)
	}
}

// One code at the same instant lets one in.
func TestOneCodeAtOnce(t *testing.T) {
	r := newRig(t, window)
	r.start(t)
	const many = 50
	right, in := code(t, 0), make(chan bool)
	for i := range many {
		go func() {
			request := by("alice")
			request.RemoteHost = fmt.Sprintf("192.0.2.%d", i)
			in <- r.login(t, request, says(right)).Decision == gate.Accept
		}()
	}
	entered := 0
	for range many {
		if <-in {
			entered++
		}
	}
	if entered != 1 {
		t.Errorf("%d are in", entered)
	}
}
