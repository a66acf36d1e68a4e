package boot_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestPolkit tries pkexec and run0 with polkit's and systemd's real daemons: once
// polkit-1 has the line they ask for a code behind the password, each code once.
func TestPolkit(t *testing.T) {
	t.Parallel()
	w := &walk{computer: newNamespaces(t, "trixie-polkit"), deb: built(t)}
	w.install(t)
	w.run(t, "adduser alice sudo")
	for _, program := range []string{"pkexec", "run0"} {
		t.Run(program, func(t *testing.T) { w.polkit(t, program) })
	}
}

// polkit becomes root by a program, before polkit-1 has the line and after.
func (w *walk) polkit(t *testing.T, program string) {
	w.run(t, "rm -f /etc/pam.d/polkit-1")
	if shown := w.answer(t, w.becoming(t, program)); !isRoot(shown) || codePrompt.MatchString(shown) {
		t.Errorf("without the line: expected the password to be enough, found\n%s", shown)
	}
	w.run(t, "otpctl pam enable polkit-1 --confirm-within 0s")
	said, err := w.script("otpctl doctor --service polkit-1 --ignore clock-unsynchronised --ignore state-volatile")
	if err != nil {
		t.Errorf("expected the doctor to find nothing, found %v\n%s", err, said)
	}
	s := w.becoming(t, program)
	code := w.alice.code(t)
	if shown := w.answer(t, s, code); !isRoot(shown) {
		t.Errorf("expected root after one code, found\n%s\n%s", shown, w.lines())
	}
	if shown := w.answer(t, w.becoming(t, program), code, code, code); isRoot(shown) {
		t.Errorf("expected the code to be good once, found\n%s\n%s", shown, w.lines())
	}
	w.run(t, "otpctl unlock alice")
}

func isRoot(shown string) bool { return strings.Contains(shown, "alice is root") }

var (
	prompt    = regexp.MustCompile(`(?:(/dev/pts/\d+)(?s:.*))?(?i)(?:password|code): ?$`)
	askedOrIn = regexp.MustCompile(prompt.String() + `|alice is root`)
)

// becoming logs alice in on a terminal and has a program run a command as root. It stays
// until it is answered: run0 may lose what a program says that ends at once.
func (w *walk) becoming(t *testing.T, program string) *session {
	t.Helper()
	return w.open(t, "ssh", 22, "-tt", "alice@127.0.0.1", `tty; `+program+` sh -c 'test "$(id -u)" = 0 && echo "alice is"" root" && read -r seen'`)
}

// answer answers with her password and then with the codes, and returns what she sees.
func (w *walk) answer(t *testing.T, s *session, codes ...string) string {
	t.Helper()
	tty := ""
	for _, answer := range append([]string{w.alice.Password}, codes...) {
		asked, err := s.terminal.Await(s.seen, prompt, w.patience())
		if err != nil || asked == nil {
			t.Fatalf("expected a prompt, found %v\n%s\n%s", err, s.terminal.Output(0), w.lines())
		}
		if tty == "" {
			tty = asked[1]
		}
		// polkit's agent throws away what is typed before it has turned the echo off.
		until(t, w, "the agent waits for an answer", func() bool {
			_, err := w.script("stty -a -F " + tty + " | grep -q -- ' -echo '")
			return err == nil
		})
		s.seen = len(s.terminal.Output(0))
		s.send(t, answer)
	}
	asked, err := s.terminal.Await(s.seen, askedOrIn, w.patience())
	if err == nil && asked != nil && isRoot(asked[0]) {
		s.seen = len(s.terminal.Output(0))
		s.send(t, "")
		asked, err = s.terminal.Await(s.seen, prompt, w.patience())
	}
	// It must come to its end: nobody answers another question.
	if err != nil || asked != nil {
		t.Errorf("expected no other question, found %q, %v", asked, err)
		s.terminal.Kill()
	}
	t.Log(s.terminal.Output(0))
	return s.terminal.Output(0)
}
