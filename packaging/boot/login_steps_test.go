package boot_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// session is a login that stays: it answers each line that is typed.
type session struct {
	terminal *machine.Terminal
	seen     int
}

var (
	passwordPrompt = regexp.MustCompile(`(?i)password: ?$`)
	codePrompt     = regexp.MustCompile(`code: ?$`)
)

// expect waits until the terminal shows what was not there before.
func (s *session) expect(t *testing.T, w *walk, pattern *regexp.Regexp) {
	t.Helper()
	match, err := s.terminal.Await(s.seen, pattern, w.patience())
	if err != nil || match == nil {
		t.Fatalf("expected %q, found %v:\n%s\n%s", pattern, err, s.terminal.Output(0), w.lines())
	}
	s.seen = len(s.terminal.Output(0))
}

func (s *session) send(t *testing.T, text string) {
	t.Helper()
	if err := s.terminal.Send(text + "\r"); err != nil {
		t.Fatal(err)
	}
}

// open starts a client and answers its questions for alice.
func (w *walk) open(t *testing.T, program string, port int, args ...string) *session {
	t.Helper()
	s := &session{terminal: machine.Open(t, w.client(program, port, args...))}
	s.expect(t, w, passwordPrompt)
	s.send(t, w.alice.Password)
	s.expect(t, w, codePrompt)
	s.send(t, w.alice.code(t))
	return s
}

// stay logs alice in for longer.
func (w *walk) stay(t *testing.T) *session {
	t.Helper()
	s := w.open(t, "ssh", 22, "-tt", "alice@127.0.0.1", `echo "wel""come"; while read -r x; do echo "answer"" to $x"; done`)
	// The client throws away what is typed before it is in.
	s.expect(t, w, regexp.MustCompile("welcome"))
	s.lives(t, w, "hello")
	return s
}

// lives expects an answer.
func (s *session) lives(t *testing.T, w *walk, word string) {
	t.Helper()
	s.send(t, word)
	s.expect(t, w, regexp.MustCompile("answer to "+word))
}

// transfer has alice look at the SFTP server.
func (w *walk) transfer(t *testing.T) {
	t.Helper()
	s := w.open(t, "sftp", 2022, "alice@127.0.0.1")
	s.expect(t, w, regexp.MustCompile(`sftp> $`))
	s.send(t, "pwd")
	s.expect(t, w, regexp.MustCompile(`Remote working directory: /`))
	s.send(t, "bye")
	if status := s.terminal.Status(); status != 0 {
		t.Errorf("sftp ended with %d:\n%s", status, s.terminal.Output(0))
	}
}

// pamFile is the service whose change is rolled out.
const pamFile = "/etc/pam.d/su"

// rollOut changes a service, and has nobody confirm it.
func (w *walk) rollOut(t *testing.T) {
	before := w.run(t, "cat "+pamFile)
	w.run(t, "otpctl pam enable su --confirm-within 10s")
	w.says(t, "cat "+pamFile, before)
	w.says(t, "ls /etc/otpgate/pending", "")
}

// rebootInRollOut takes the power away while a change waits.
func (w *walk) rebootInRollOut(t *testing.T) {
	before := w.run(t, "cat "+pamFile)
	w.run(t, "otpctl pam enable su --confirm-within 10s && sync")
	if w.run(t, "cat "+pamFile) == before {
		t.Log("on this busy machine the file was put back before the power was gone")
	}
	w.cut(t)
	w.up(t)
	w.says(t, "cat "+pamFile, before)
	w.says(t, "ls /etc/otpgate/pending", "")

	// An orderly reboot likewise.
	w.run(t, "otpctl pam enable su --confirm-within 10s")
	w.off(t)
	w.up(t)
	w.says(t, "cat "+pamFile, before)
}

// powerCut comes right behind a login that was accepted.
func (w *walk) powerCut(t *testing.T) {
	used := w.in(t)
	w.cut(t)
	w.up(t)
	w.out(t, used)
	w.in(t)
}

// upgrade must not end a login, and what was at work is the new version's then.
func (w *walk) upgrade(t *testing.T) {
	w.run(t, "systemctl start "+service+" otpgate-sftpd.service")
	s := w.stay(t)
	before := map[string]string{}
	for _, unit := range []string{service, "otpgate-sftpd.service"} {
		before[unit] = w.property(t, unit, "MainPID")
	}
	w.run(t, `cd /root && dpkg-deb --raw-extract otpgate.deb newer && sed -i 's/^Version: .*/Version: 99-1/' newer/DEBIAN/control &&
		dpkg-deb -Znone --build newer newer.deb && rm -r newer && dpkg -i newer.deb`)
	s.lives(t, w, "upgraded")
	for unit, pid := range before {
		until(t, w, "another process of "+unit, func() bool {
			after := w.property(t, unit, "MainPID")
			return after != pid && after != "0" && w.property(t, unit, "ActiveState") == "active"
		})
	}
	w.byVerifier(t)
	w.transfer(t)
	s.lives(t, w, "again")
}

// removal must not end a login, and the next one is asked for no code.
func (w *walk) removal(t *testing.T) {
	s := w.stay(t)
	w.run(t, "dpkg -r otpgate")
	s.lives(t, w, "removed")
	w.free(t)
	if left := w.run(t, "systemctl list-units --all --plain --no-legend 'otpgate*'"); left != "" {
		t.Errorf("units were left: %s", left)
	}
	// Who comes back finds everybody enrolled.
	w.run(t, "dpkg -i /root/newer.deb && otpctl pam enable sshd --confirm-within 0s")
	w.in(t)
	w.run(t, "dpkg -P otpgate")
	w.free(t)
	for _, dir := range []string{"/etc/otpgate", "/var/lib/otpgate", "/run/otpgate"} {
		if output, err := w.script("test ! -e " + dir); err != nil {
			t.Errorf("the purge left %s: %s", dir, output)
		}
	}
	if failed := strings.TrimSpace(w.run(t, "systemctl list-units --failed --plain --no-legend 'otpgate*'")); failed != "" {
		t.Errorf("the purge left failed units: %s", failed)
	}
}
