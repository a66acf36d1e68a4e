package setup

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/rollout"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// A change that somebody confirms while restore --overdue takes it over has been
// decided: nothing has failed.
func TestConfirmedWhileItIsTakenOver(t *testing.T) {
	var said bytes.Buffer
	a := invocation.NewApp(invocation.World{Stdout: &said, Stderr: &said, Now: time.Now, Machine: target.Machine{Root: t.TempDir()}})
	decided := rollout.Pending{Service: "sshd", Changed: a.Now(), Deadline: a.Now().Add(time.Hour)}
	if err := watchAll(a, []rollout.Pending{decided}); err != nil {
		t.Errorf("to wait for it: %v", err)
	}
	if err := unlessDone(restore(a, "sshd")); err != nil {
		t.Errorf("to undo it: %v", err)
	}
	if said.Len() > 0 {
		t.Errorf("it said %q", &said)
	}
}

// By a clock that is months behind, a change's deadline is months away, and what
// waits to put it back does not take that long.
func TestPendingChangeAndAClockBehind(t *testing.T) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	changed := time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)
	p := &rollout.Pending{Changed: changed, Deadline: changed.Add(5 * time.Minute), Boot: strings.TrimSpace(string(id)), Watchdog: os.Getpid()}
	if got, want := stateOf(p, changed.Add(time.Minute)), "put back at 2026-11-22 12:05:00 unless confirmed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := "put back within 5m0s unless confirmed; the clock is behind: it says 2026-07-22 12:00:00, and the change was made at 2026-11-22 12:00:00"
	if got := stateOf(p, changed.AddDate(0, -4, 0)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
