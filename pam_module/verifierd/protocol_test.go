package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/fronts"
)

// errReset is what a peer may see whose words were not all read.
var errReset = syscall.ECONNRESET

func TestStalledOpening(t *testing.T) {
	short := usual
	short.opening = 30 * time.Millisecond
	r := newRig(t, wide, short)
	for _, text := range []string{"", "\x01", "\x01\x00\x00\x20\x01"} {
		conn := dial(t, r.socket)
		// On a busy machine the time may be over before that is said.
		if _, err := io.WriteString(conn, text); err != nil && !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil && !errors.Is(err, errReset) {
			t.Errorf("%q: got %q, %v", text, rest, err)
		}
		if line := r.log.take(t, 1)[0]; line.Rule != "dialogue" || !strings.Contains(line.Reason, "peer uid 0 pid ") || !strings.Contains(line.Reason, "i/o timeout") {
			t.Errorf("%q: log %+v", text, line)
		}
	}
	if usual.opening != 5*time.Second {
		t.Errorf("the usual time to open is %s", usual.opening)
	}
}

// A front may name the time for its dialogue; else it is the verifier's. One that
// has more than another which began after it is still there when that one's is
// over.
func TestDialogueDeadline(t *testing.T) {
	const short = time.Second
	for name, dialogue := range map[string]struct{ verifiers, fronts time.Duration }{
		"the verifier's": {short, 0}, "the front's": {time.Hour, short},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := unhurried
			limits.dialogue = dialogue.verifiers
			r := newRig(t, wide, limits)
			alice := r.enroll(t, "alice")
			longer, conn := dial(t, r.socket), dial(t, r.socket)
			start := r.start("alice")
			start.Timeout = 10 * time.Minute
			if err := longer.open(start); err != nil {
				t.Fatal(err)
			}
			start.Timeout = dialogue.fronts
			if err := wire.WriteStart(conn, start); err != nil {
				t.Fatal(err)
			}
			// On a busy machine the time may be over before the prompt.
			rest, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("not ended by the verifier")
			}
			if bytes.HasSuffix(rest, []byte{byte(wire.Accept)}) || bytes.HasSuffix(rest, []byte{byte(wire.Ignore)}) {
				t.Errorf("it ended with %q", rest)
			}
			if verdict, told, err := longer.finish(alice.code(t)); err != nil || verdict != wire.Accept {
				t.Errorf("one with ten minutes: %v, %q, %v", verdict, told, err)
			}
		})
	}
}

// What is no frame is cut off, logged, and never let in.
func TestGarbage(t *testing.T) {
	r := newRig(t, "[policy]\nrequire = [\"@all\"]\n", unhurried)
	r.enroll(t, "alice")
	for _, text := range []string{
		"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00", strings.Repeat("\x00", 100), strings.Repeat("\xff", 100_000),
		"\x01\x00\x40\x01" + strings.Repeat("x", 1<<14+1), "\x01\xff\xff\xff", "\x11\x00\x00\x01\x01", "\x02\x00\x00\x01\x01", "\x4c", "\x01\x00\x00\x01\x02",
	} {
		conn := dial(t, r.socket)
		_, _ = io.WriteString(conn, text)
		_ = conn.Conn.(*net.UnixConn).CloseWrite()
		if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil && !errors.Is(err, errReset) {
			t.Errorf("%.20q: got %q, %v", text, rest, err)
		}
		if line := r.log.take(t, 1)[0]; line.Rule != "dialogue" || line.Verdict != "fault" {
			t.Errorf("%.20q: log %+v", text, line)
		}
	}
	// The same in place of an answer.
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x02\x00\x40\x01", "\x02\x00\x00\x00", "\x01\x00\x00\x01\x01", "\x11\x00\x00\x01\x01", "\x02\x00\x00\x02\x02x", "\x02\x00\x02\x02\x01" + strings.Repeat("1", 513)} {
		conn := dial(t, r.socket)
		if err := conn.open(r.start("alice")); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, text)
		if verdict, _, err := conn.finish(); err == nil && verdict != wire.Deny {
			t.Errorf("%.20q as an answer: %v", text, verdict)
		}
		if line := r.log.take(t, 1)[0]; line.Verdict != "denied" {
			t.Errorf("%.20q as an answer: log %+v", text, line)
		}
	}
	if !strings.Contains(r.figures(t), "otpgate_protocol_errors_total 10\n") {
		t.Errorf("metrics:\n%s", r.figures(t))
	}
}

// Whoever has gone before the verdict is no trouble.
func TestPeerGone(t *testing.T) {
	r := newRig(t, wide, unhurried)
	r.enroll(t, "alice")
	conn := dial(t, r.socket)
	if err := conn.open(r.start("alice")); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	for _, line := range r.log.take(t, 1) {
		if line.Verdict != "denied" || line.Rule != "no-answer" {
			t.Errorf("%+v", line)
		}
	}
	testwait.Until(t, "the end of the dialogue", func() bool { return r.server.admission.idle() > 0 })
	if err := r.fronts.Drain(patience); err != nil {
		t.Error(err)
	}
}

// A front whose pam.d names another file must not be answered by this one's
// policy.
func TestOtherConfiguration(t *testing.T) {
	r := newRig(t, wide, unhurried)
	for _, config := range []string{"", "/etc/otpgate/otpgate.toml", r.config + "x", "otpgate.toml"} {
		start := r.start("alice")
		start.Config = config
		if _, _, err := dial(t, r.socket).login(start); !errors.Is(err, errDeclined) {
			t.Errorf("config=%s: %v", config, err)
		}
	}
	_ = r.log.take(t, 0)
	for _, row := range []struct {
		own, asked string
		want       bool
	}{
		{"", "", true}, {"", "/etc/otpgate/otpgate.toml", true}, {"/etc/otpgate/otpgate.toml", "", true}, {"", "/x", false}, {"/x", "", false}, {"/x", "/x", true},
	} {
		if got := (&engines{path: row.own}).isFor(row.asked); got != row.want {
			t.Errorf("verifier of %q asked with %q: %v", row.own, row.asked, got)
		}
	}
}

// FuzzSocket sends anything: nobody gets in who gives no code, and the
// verifier goes on.
func FuzzSocket(f *testing.F) {
	r := newRig(f, "[policy]\nrequire = [\"@all\"]\n[policy.attempts]\nper_window = 1000\nper_source = 100000\n", unhurried)
	r.enroll(f, "alice")
	var opening bytes.Buffer
	if err := wire.WriteStart(&opening, r.start("alice")); err != nil {
		f.Fatal(err)
	}
	f.Add(opening.Bytes())
	f.Add(append(opening.Bytes(), "\x02\x00\x00\x07\x01123456"...))
	split := r.start("alice")
	split.Split = true
	var splitting bytes.Buffer
	if err := wire.WriteStart(&splitting, split); err != nil {
		f.Fatal(err)
	}
	f.Add(append(splitting.Bytes(), "\x02\x00\x00\x07\x01123456"...))
	f.Add(append(opening.Bytes(), "\x02\x00\x00\x01\x02"...))
	f.Add([]byte("\x01\x00\x00\x01\x01"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		conn, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = conn.Write(text)
		_ = conn.(*net.UnixConn).CloseWrite()
		got, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the verifier hangs")
		}
		for _, verdict := range []wire.Verdict{wire.Accept, wire.Ignore} {
			// To a line with split this says that nothing is taken off.
			if start, err := wire.ReadStart(bytes.NewReader(text)); err == nil && start.Split && verdict == wire.Ignore {
				continue
			}
			if bytes.HasSuffix(got, []byte{byte(wire.TypeVerdict), 0, 0, 1, byte(verdict)}) {
				t.Errorf("%q let somebody in: %q", text, got)
			}
		}
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		for _, line := range r.log.all {
			if line.Rule == "internal" {
				t.Errorf("%+v", line)
			}
		}
		r.log.all = nil
	})
}

// A dialogue that brings the engine down is the only one that ends by it.
func TestPanicOfOne(t *testing.T) {
	const times = 50
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	limits := unhurried
	limits.perUser = 2
	fails := func(string) error { panic("of the tests") }
	var broken nameService
	broken.ids.Store(&fails)
	who := &directory{names: &broken}
	server := newServer(r.server.engines, who, r.server.sink, limits)
	place := *r.installation
	place.socket += ".other"
	socket, err := fronts.ListenAt(place.socket)
	if err != nil {
		t.Fatal(err)
	}
	acceptors, err := server.serve(socket)
	if err != nil {
		t.Fatal(err)
	}
	waiting := dial(t, place.socket)
	if err := waiting.open(place.start("alice")); err != nil {
		t.Fatal(err)
	}
	for range times {
		// Each gives back its place, or the third would be refused.
		conn := dialAs(t, alicesUID, place.socket)
		if verdict, told, err := conn.login(place.start("alice")); err == nil {
			t.Errorf("%v, %q", verdict, told)
		}
		if line := r.log.take(t, 1)[0]; line.Rule != "internal" || line.Reason != "panic: of the tests" {
			t.Errorf("%+v", line)
		}
	}
	if verdict, told, err := waiting.finish(alice.code(t)); verdict != wire.Accept {
		t.Errorf("%v, %q, %v", verdict, told, err)
	}
	if err := acceptors.Drain(patience); err != nil {
		t.Error(err)
	}
	testwait.Until(t, "the end of all", func() bool { return server.admission.idle() > 0 })
}

// A front that waited in vain, as for a verifier that systemd starts, has gone
// to a core of its own by the time its frame is read. Nothing comes of that
// dialogue: no line, no use of a code, no wrong one counted, no failure.
func TestGoneBeforeReady(t *testing.T) {
	for name, text := range map[string]string{"asked": wide, "not asked": "[policy]\nexempt = [\"alice\"]\n", "wrong configuration": "nonsense"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, wide, unhurried)
			r.enroll(t, "alice")
			r.configure(t, text)
			for _, split := range []bool{false, true} {
				ours, theirs := net.Pipe()
				start := r.start("alice")
				start.Split = split
				go func() {
					_ = wire.WriteStart(ours, start)
					_ = ours.Close()
				}()
				stream := newStream(theirs)
				read, err := wire.ReadStart(stream)
				if err != nil {
					t.Fatal(err)
				}
				stream.owed = true
				_ = r.server.answer(stream, rootUID, &peerCount{kind: trusted}, &read)
				if stream.gone == nil {
					t.Errorf("split %v: nobody noticed", split)
				}
			}
			_ = r.log.take(t, 0)
			// So it is through the socket. The verifier waits until the front is gone.
			r.server.engines.mu.Lock()
			conn := dial(t, r.socket)
			err := wire.WriteStart(conn, r.start("alice"))
			_ = conn.Close()
			r.server.engines.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			r.settled(t)
			if figures := r.figures(t); strings.Contains(figures, "otpgate_protocol_errors_total 1") {
				t.Errorf("metrics:\n%s", figures)
			}
		})
	}
}
