// Package hosts has the programs through which tests log in: sshd, the SFTP
// server, FTP, IMAP, web and RADIUS servers, and a small application of libpam
// that a test leads step by step. Beside them are a mail server, a gateway for
// text messages and a proxy, by which codes are sent.
//
// The entry points are the functions Start…, which run the real program in the
// machine of the tests, on loopback, or on the machine of a fleet whose PAM service it
// has, on loopback there. They promise that it is ready when they
// return, and gone when the test ends.
package hosts

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/e2e/machine"
)

// PAMSuccess is PAM_SUCCESS of <security/_pam_types.h>; every other value is
// a denial.
const PAMSuccess = 0

// Host is a small PAM application, pamlogin, that a test leads step by step.
type Host struct {
	Cmd    *exec.Cmd
	in     io.WriteCloser
	events chan Event
}

// Event is what the application's conversation was called with, or its end.
type Event struct {
	Kind string // "prompt" (answered by Answer), "tell", "verdict", "gone"
	Text string
	// Code is the style of a prompt or the return value of a verdict.
	Code int
}

// HostOptions vary the application.
type HostOptions struct {
	RemoteHost string
	// Flags of pamlogin, see testdata/pamlogin.c.
	Flags []string
	// Barrier, if set, holds every answer back until it is at its end.
	Barrier *os.File
	Env     []string
}

// StartHost starts a login of user at a PAM service.
func StartHost(t machine.T, service, user string, options HostOptions) *Host {
	t.Helper()
	args := append([]string{}, options.Flags...)
	if options.RemoteHost != "" {
		args = append(args, "-r", options.RemoteHost)
	}
	if options.Barrier != nil {
		args = append(args, "-b")
	}
	cmd := exec.Command(machine.Files+"/pamlogin", append(args, "--", service, user)...)
	cmd.Env = append(os.Environ(), options.Env...)
	if options.Barrier != nil {
		cmd.ExtraFiles = []*os.File{options.Barrier}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("pamlogin: %v", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("pamlogin: %v", err)
	}
	cmd.Stderr = os.Stderr
	machine.PlaceOf(t, service).Within(t, func() { err = cmd.Start() })
	if err != nil {
		t.Fatalf("pamlogin: %v", err)
	}
	h := &Host{Cmd: cmd, in: in, events: make(chan Event, 64)}
	go h.read(out)
	t.Cleanup(h.End)
	return h
}

func (h *Host) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := append(strings.Split(lines.Text(), " "), "", "")
		code, err := strconv.Atoi(fields[1])
		text, err2 := hex.DecodeString(fields[2])
		if err != nil || err2 != nil {
			h.events <- Event{Kind: "not understood", Text: lines.Text()}
			continue
		}
		h.events <- Event{Kind: fields[0], Code: code, Text: string(text)}
	}
	_ = h.Cmd.Wait()
	h.events <- Event{Kind: "gone", Text: h.Cmd.ProcessState.String()}
	close(h.events)
}

// End ends the application if it has not ended.
func (h *Host) End() {
	_ = h.in.Close()
	_ = h.Cmd.Process.Kill()
	for range h.events {
		continue
	}
}

// Next returns the next event.
func (h *Host) Next(t machine.T) Event {
	t.Helper()
	select {
	case event := <-h.events:
		return event
	case <-time.After(machine.Patience):
		t.Fatalf("pamlogin: expected a prompt or a verdict within %v", machine.Patience)
		return Event{}
	}
}

// Said is whether it has said something that Next would return at once.
func (h *Host) Said() bool { return len(h.events) > 0 }

// Prompt waits for a prompt that holds text, skipping what is only told.
func (h *Host) Prompt(t machine.T, text string) {
	t.Helper()
	event := h.Next(t)
	for event.Kind == "tell" {
		event = h.Next(t)
	}
	if event.Kind != "prompt" || !strings.Contains(event.Text, text) {
		t.Fatalf("pamlogin: expected a prompt with %q, found %+v", text, event)
	}
}

// Answer answers a prompt; any byte but NUL may be in it.
func (h *Host) Answer(text string) { h.command("answer " + hex.EncodeToString([]byte(text))) }

// Refuse answers a prompt as a host does after Ctrl-C: with PAM_CONV_ERR.
func (h *Host) Refuse() { h.command("refuse") }

// Null answers a prompt with PAM_SUCCESS and no text.
func (h *Host) Null() { h.command("null") }

// Later moves the module's clock on, as if the person took so long to answer.
func (h *Host) Later(by time.Duration) { h.command(fmt.Sprint("later ", by.Milliseconds())) }

// HourLater is for a module that waits for its engine: its clock says that an hour has
// passed. It returns what comes of that but what is only told.
func (h *Host) HourLater(t machine.T) (next Event) {
	t.Helper()
	machine.Until(t, "pamlogin says what comes of an hour", func() bool {
		select {
		case next = <-h.events:
			return next.Kind != "tell"
		default:
			// Again and again: one that comes just before poll(2) wakes nobody.
			_ = h.Cmd.Process.Signal(syscall.SIGUSR1) // if it is gone, that is an event
			return false
		}
	})
	return next
}

func (h *Host) command(line string) {
	// If the application is gone, Next says so.
	_, _ = fmt.Fprintln(h.in, line)
}

// Verdict waits for pam_authenticate's return value. Prompts on the way are
// answered with the texts given; a prompt beyond them is refused.
func (h *Host) Verdict(t machine.T, answers ...string) int {
	t.Helper()
	for {
		switch event := h.Next(t); {
		case event.Kind == "verdict":
			return event.Code
		case event.Kind == "prompt" && len(answers) > 0:
			h.Answer(answers[0])
			answers = answers[1:]
		case event.Kind == "prompt":
			h.Refuse()
		case event.Kind != "tell":
			t.Fatalf("pamlogin: expected a verdict, found %+v", event)
		}
	}
}
