package fronttest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/testwait"
)

// A core that has ended its part, or that its alarm ends, while the host is in its
// conversation stays until the front lets go of it: there SIGCHLD is the host's.
func TestCoreEndsAtThePrompt(t *testing.T) {
	for name, row := range map[string]struct{ arguments, clock, answer string }{
		"gives its verdict": {"protocol=unread", slowClock, "@sleep:1500:123456"},
		"has its alarm":     {"timeout=1 protocol=ask", slowClock, "@sleep:8000:123456"}, // after six seconds, by the machine's clock
	} {
		for _, mode := range []string{"count", "reap", "blocked"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				kit, service := kits.sanitized.forked(), serviceName(t)
				kit.Stack(t, service, row.arguments)
				outcome := kit.Login(t, "--service", service, "--sigchld", mode, "--slow-clock", row.clock, row.answer)
				// A machine that is too slow has the alarm before the prompt, which ends no better.
				if outcome.Result != "PAM_SYSTEM_ERR" {
					t.Errorf("%s, prompts %v", outcome.Result, outcome.Prompts)
				}
				unchanged(t, outcome)
			})
		}
	}
}

// What a host forks in its conversation has the front's end of the socket too. It keeps
// neither the host waiting nor the child once the host is gone.
func TestHostForksAtThePrompt(t *testing.T) {
	for _, core := range []string{"unread", "many:65", "ask"} {
		for _, marker := range []string{"@fork:", "@die:"} {
			t.Run(core+" "+marker[1:len(marker)-1], func(t *testing.T) {
				t.Parallel()
				kit, log, service := kits.plain.forked(), NewLog(t), serviceName(t)
				heir := filepath.Join(t.TempDir(), "heir")
				if err := unix.Mkfifo(heir, 0o600); err != nil {
					t.Fatal(err)
				}
				kit.Stack(t, service, "timeout=1 debug protocol="+core)
				outcomes, err := kit.run(nil, append([]string{"--service", service, "--dev", log.Dev, "--sigchld", "count", marker + heir + ":123456"}, slices.Repeat([]string{"answer"}, 70)...))
				lines := strings.Join(log.Lines(t), "\n")
				if marker == "@fork:" && (err != nil || outcomes[0].Sigchld != 0 || strings.Contains(lines, "did not leave by itself")) {
					t.Errorf("%v, %v\n%s", outcomes, err, lines)
				}
				if marker == "@die:" && (err == nil || !strings.Contains(err.Error(), "killed")) {
					t.Errorf("%v, %v, expected it to be killed\n%s", outcomes, err, lines)
				}
				loads := regexp.MustCompile(`core child ([0-9]+) loads`).FindStringSubmatch(lines)
				if loads == nil {
					t.Fatalf("no core child\n%s", lines)
				}
				testwait.Until(t, "the child has left", func() bool {
					_, err := os.Readlink("/proc/" + loads[1] + "/exe")
					return errors.Is(err, fs.ErrNotExist)
				})
				writer, err := unix.Open(heir, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
				if err != nil {
					t.Fatalf("what the host forked is gone already: %v", err)
				}
				_ = unix.Close(writer)
			})
		}
	}
}
