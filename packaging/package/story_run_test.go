package packages_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/machine"
)

// run is a story on its way.
type run struct {
	*testing.T
	debian
	secret string // that was shown last
	steps  int    // codes of it that were used
	last   string // the code of it that was used last
	after  string // the code behind the one that a device showed
	dir    string // where command lines are run
	// background is what was started last and stays.
	background *machine.Terminal
}

// source is where the Debian finds the source tree.
const source = "/root/otpgate"

// outside runs something on this machine.
func (r *run) outside(line string) {
	r.Helper()
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(line, "ROOT", r.root))
	cmd.Dir = "../.."
	// What the tests were given about Go holds; the rest is a plain environment.
	if output, err := cmd.CombinedOutput(); err != nil {
		r.Fatalf("%s: %v\n%s", line, err, output)
	}
}

// chdir is where the command lines from now on are run.
func (r *run) chdir(dir string) { r.dir = dir }

// shown is what the document shows of a command's output.
func (r *run) shown(path, line string) string {
	r.Helper()
	for _, b := range blocksOf(r.T, path) {
		for _, c := range b.Commands() {
			if c.Line == line {
				return strings.Join(c.Shown, "\n") + "\n"
			}
		}
	}
	r.Fatalf("%s: there is no %q", path, line)
	return ""
}

// start starts a server, which stays until the story ends.
func (r *run) start(line, ready string) {
	r.Helper()
	r.background = machine.Open(r, r.within("exec "+line))
	machine.Until(r, line+" is ready", func() bool { return r.within(ready).Run() == nil })
}

// within is a shell with a command line in the Debian, in the source tree.
func (r *run) within(line string) *exec.Cmd {
	return r.command("sh", "-c", "cd "+r.dir+" && "+line)
}

// must runs a command line that is in no document.
func (r *run) must(line string) string {
	r.Helper()
	output, err := r.within(line).CombinedOutput()
	if err != nil {
		r.Fatalf("%s: %v\n%s", line, err, output)
	}
	return string(output)
}

// ask is what a person is asked at a terminal: by otpctl, ssh, sftp, a shell.
var ask = regexp.MustCompile(`(Code that [a-z ]+: |The next one: |[Pp]assword: ?|passphrase[^:]*: |Verification code: |\[y/N\] |sftp> |alice@server:~\$ )$`)

// atTerminal runs a command line in a terminal of its own, as a login of its own,
// and answers what it asks.
func (r *run) atTerminal(line string, h handling) (said string, status int) {
	r.Helper()
	if h.background != "" {
		r.start(line, h.background)
		return "", 0
	}
	terminal := machine.Open(r, r.within(line))
	if err := terminal.Send(h.typed); err != nil {
		r.Fatal(err)
	}
	offset := 0
	for {
		match, err := terminal.Await(offset, ask, machine.Patience)
		if err != nil {
			r.Fatalf("%s: %v\n%s", line, err, terminal.Output(0))
		}
		if match == nil {
			return strings.ReplaceAll(terminal.Output(0), "\r\n", "\n"), terminal.Status()
		}
		offset = len(terminal.Output(0))
		// A program that has ended is not asking.
		_ = terminal.Send(r.answer(match[1], terminal.Output(0), h))
	}
}

func (r *run) answer(prompt, seen string, h handling) string {
	r.Helper()
	switch strings.TrimSpace(prompt) {
	case "Code that the app shows:":
		r.secret, r.steps = known, 0
		if found := regexp.MustCompile(`secret=([A-Z2-7]+)`).FindStringSubmatch(seen); found != nil {
			r.secret = found[1]
		}
		return r.next() + "\r"
	case "Code that was sent:":
		return regexp.MustCompile(`\b\d{6}\b`).FindString(r.must("cat /root/mail")) + "\r"
	case "Code that the device shows:":
		two := r.codes(r.T, known, -3, 2)
		r.after = two[1]
		return two[0] + "\r"
	case "The next one:":
		return r.after + "\r"
	case "Verification code:":
		if h.code == nil {
			return r.next() + "\r"
		}
		return h.code(r) + "\r"
	case "passphrase (empty for no passphrase):", "passphrase again:":
		return "\r"
	case "[y/N]":
		return "y\r"
	case "sftp>":
		return "bye\r"
	case `alice@server:~$`:
		return "exit\r"
	}
	return alice.Password + "\r"
}

// next is the app's next code that was not used yet.
func (r *run) next() string {
	r.Helper()
	r.steps++
	r.last = r.code(r.T, r.secret, r.steps-1)
	return r.last
}

// furnish makes the Debian what a server is that a document speaks of.
func (d debian) furnish(t *testing.T) {
	t.Helper()
	d.write(t, "/etc/hosts", "127.0.0.1 localhost server\n")
	d.write(t, "/etc/ssh/ssh_config.d/test.conf", "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n")
	// So that no code is too old by the time that a slow step ends.
	d.write(t, "/etc/otpgate/otpgate.toml", "[totp]\nwindow = 10\n")
	for _, name := range []string{"bob", "carol", "dave"} {
		d.run(t, "useradd", "-m", name)
	}
	d.run(t, "sh", "-c", "groupadd interns && groupadd -f staff && gpasswd -M bob interns && gpasswd -M alice,bob staff")
	// sudo's and polkit's own, of this machine.
	if err := os.MkdirAll(d.root+"/usr/lib/pam.d", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/etc/pam.d/sudo", "/etc/pam.d/sudo-i", "/usr/lib/pam.d/polkit-1"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d.write(t, path, string(text))
	}
	d.run(t, "mv", d.bring(t, machine.Files+"/age-keygen"), "/usr/bin")
	if err := os.MkdirAll(d.root+source, 0o755); err != nil {
		t.Fatal(err)
	}
}

// layer is a copy of it that shares what it does not change.
func (d debian) layer(t *testing.T) debian {
	t.Helper()
	top, err := os.MkdirTemp(machine.Root, "layer-")
	if err != nil {
		t.Fatal(err)
	}
	// It becomes a root directory, which everybody has to get through.
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	here := debian{root: overlay(t, top, d.root), port: d.port}
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"/proc": "/proc", "/dev": "/dev", tree: source} {
		if err := unix.Mount(from, here.root+to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			t.Fatalf("bind %s: %v", from, err)
		}
	}
	return here
}
