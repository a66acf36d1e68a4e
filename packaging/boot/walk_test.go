package boot_test

import (
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// computer is what the walk is on.
type computer interface {
	// boot starts it and returns once commands can be run.
	boot(t *testing.T)
	// cut takes its power away, off shuts it down.
	cut(t *testing.T)
	off(t *testing.T)
	// script has root's shell run a text, and returns what it said.
	script(text string) (string, error)
	// bring copies a file to the computer.
	bring(t *testing.T, from, to string)
	// client is OpenSSH's ssh or sftp, as a client of a server on the computer.
	client(program string, port int, args ...string) *exec.Cmd
	// patience is how long anything may take that should take moments.
	patience() time.Duration
}

// options have a client take any host key, and ask once.
func options(program string, port int) []string {
	flag := "-p"
	if program == "sftp" {
		flag = "-P"
	}
	return []string{"-F", "none", flag, strconv.Itoa(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "PreferredAuthentications=keyboard-interactive,password", "-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=60", "-o", hosts.KeyExchange}
}

// walk is a computer with otpgate and two people. Their codes are tokens': they
// do not depend on the clock.
type walk struct {
	computer
	deb string
	// alice logs in all the time. bob has logged in only when a step says so.
	alice, bob *owner
}

// owner is somebody with a token.
type owner struct {
	machine.Person
	secret  string
	counter uint64 // of the next code
}

func newOwner(name string) *owner {
	return &owner{Person: machine.Person{Name: name, Password: name}, secret: base32.StdEncoding.EncodeToString([]byte("twenty bytes: " + name))}
}

const (
	service = "otpgate-verifierd.service"
	socket  = "otpgate-verifierd.socket"
)

// until calls done until it returns true, and fails t when it takes too long.
func until(t *testing.T, c computer, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(c.patience())
	for pause := 10 * time.Millisecond; !done(); pause = min(2*pause, time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("expected within %v: %s", c.patience(), what)
		}
		time.Sleep(pause)
	}
}

// run runs a script that must not fail.
func (w *walk) run(t *testing.T, text string) string {
	t.Helper()
	output, err := w.script(text)
	if err != nil {
		t.Fatalf("%s: %v\n%s", text, err, output)
	}
	return strings.TrimSpace(output)
}

// says waits until a script says so.
func (w *walk) says(t *testing.T, text, want string) {
	t.Helper()
	last := want
	defer func() {
		if last != want {
			t.Logf("%s: it last said %q", text, last)
		}
	}()
	until(t, w, fmt.Sprintf("%s: %q", text, want), func() bool {
		output, _ := w.script(text) // systemctl is-active and the like fail for what is not
		last = strings.TrimSpace(output)
		return last == want
	})
}

// up waits until the machine has started, with all of ours in order.
func (w *walk) up(t *testing.T) {
	t.Helper()
	w.boot(t)
	defer func() {
		if t.Failed() {
			said, err := w.script("systemctl is-system-running; systemctl list-jobs --no-pager; systemctl --failed --no-pager; journalctl --quiet --no-pager --boot --lines 50")
			t.Logf("what it waits for: %v\n%s", err, said)
		}
	}()
	until(t, w, "the machine is started", func() bool {
		output, _ := w.script("systemctl is-system-running")
		state := strings.TrimSpace(output)
		return state == "running" || state == "degraded"
	})
	if failed := w.run(t, "systemctl list-units --failed --plain --no-legend"); failed != "" {
		t.Logf("failed units: %s", failed)
		if strings.Contains(failed, "otpgate") || strings.Contains(failed, "ssh.service") {
			said, _ := w.script("systemctl status --no-pager --full --failed; journalctl --quiet --no-pager --boot --unit otpgate-pam-restore.service")
			t.Errorf("units of ours failed at the start: %s\n%s", failed, said)
		}
	}
}

// code is the token's next one.
func (o *owner) code(t *testing.T) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(o.secret, o.counter, hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	o.counter++
	return code
}

// login logs somebody in, with those answers at the prompts for codes.
func (w *walk) login(t *testing.T, o *owner, codes ...string) machine.Dialogue {
	t.Helper()
	d := machine.Open(t, w.client("ssh", 22, o.Name+"@127.0.0.1", machine.Greet)).
		Answer(machine.Answers{Passwords: []string{o.Password}, Codes: codes}, w.patience())
	t.Logf("login with %d codes:\n%s", len(codes), d.Transcript)
	return d
}

// in expects that a new code lets alice in, and returns it.
func (w *walk) in(t *testing.T) string {
	t.Helper()
	code := w.alice.code(t)
	if d := w.login(t, w.alice, code); !d.In(&w.alice.Person) || d.Codes != 1 {
		t.Errorf("expected alice to be in after one code, found %+v\n%s", d, w.lines())
	}
	return code
}

// free expects that alice gets in without a code.
func (w *walk) free(t *testing.T) {
	t.Helper()
	if d := w.login(t, w.alice); !d.In(&w.alice.Person) || d.Codes != 0 {
		t.Errorf("expected alice to be in without a code, found %+v\n%s", d, w.lines())
	}
}

// out expects that alice is asked for a code, and refused with that one.
func (w *walk) out(t *testing.T, code string) {
	t.Helper()
	if d := w.login(t, w.alice, code, code, code); d.In(&w.alice.Person) || d.Codes == 0 {
		t.Errorf("expected alice to be asked for a code and refused, found %+v\n%s", d, w.lines())
	}
	w.run(t, "otpctl unlock alice")
}

// lines are the last ones of otpgate, and of its units, for people to read.
func (w *walk) lines() string {
	output, err := w.script("journalctl --quiet --no-pager --boot -o short-monotonic -n 60 | grep otpgate")
	return fmt.Sprintf("%s(%v)", output, err)
}

// mark is a place in the journal.
func (w *walk) mark(t *testing.T) string {
	t.Helper()
	_, cursor, found := strings.Cut(w.run(t, "journalctl --sync; journalctl --quiet -n 0 --show-cursor"), "-- cursor: ")
	if !found {
		t.Fatal("the journal has no cursor")
	}
	return cursor
}

// since is what otpgate logged since then from within a unit, a line each; of
// any unit if it is empty. journalctl's own filters lose the first line behind
// a cursor in some releases.
func (w *walk) since(t *testing.T, mark, unit string) string {
	t.Helper()
	var lines strings.Builder
	for line := range strings.Lines(w.run(t, "journalctl --sync; journalctl --quiet --no-pager -o json --after-cursor '"+mark+"'")) {
		var entry struct {
			Message    string `json:"MESSAGE"`
			Identifier string `json:"SYSLOG_IDENTIFIER"`
			Unit       string `json:"_SYSTEMD_UNIT"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Logf("a line of the journal: %v: %s", err, line)
			continue
		}
		if entry.Identifier == "otpgate" && (unit == "" || entry.Unit == unit) {
			lines.WriteString(entry.Message + "\n")
		}
	}
	return lines.String()
}

// property is one of a unit's.
func (w *walk) property(t *testing.T, unit, name string) string {
	t.Helper()
	return w.run(t, "systemctl show --value --property="+name+" "+unit)
}

// byVerifier expects that alice gets in, and that the verifier decided it.
func (w *walk) byVerifier(t *testing.T) {
	t.Helper()
	mark := w.mark(t)
	w.in(t)
	if lines := w.since(t, mark, service); !strings.Contains(lines, "verdict=accepted") {
		t.Errorf("expected the verifier to have decided, found %q\n%s", lines, w.lines())
	}
}

// install puts the package on a fresh computer, enrolls both and has sshd ask.
func (w *walk) install(t *testing.T) {
	t.Helper()
	w.bring(t, w.deb, "/root/otpgate.deb")
	w.up(t)
	w.run(t, "dpkg -i /root/otpgate.deb")
	w.alice, w.bob = newOwner("alice"), newOwner("bob")
	list := "user,kind,secret,confirmed\n"
	for _, o := range []*owner{w.alice, w.bob} {
		w.run(t, fmt.Sprintf("useradd -m -s /bin/bash %s && echo %[1]s:%[1]s | chpasswd", o.Name))
		list += o.Name + ",hotp," + o.secret + ",yes\n"
	}
	w.run(t, fmt.Sprintf("printf '%s' | otpctl enroll --csv - --out /root/recovery", strings.ReplaceAll(list, "\n", `\n`)))
	w.run(t, "cp /usr/share/doc/otpgate/examples/sshd_config.d/10-otpgate.conf /etc/ssh/sshd_config.d/")
	// OpenSSH 9.8 and later turn an address away that fails three times within some
	// seconds, as a walk may on a quick machine.
	w.run(t, "if sshd -t -o PerSourcePenalties=no; then echo PerSourcePenalties no >/etc/ssh/sshd_config.d/20-penalties.conf; fi; systemctl restart ssh")
	w.run(t, "otpctl pam enable sshd --confirm-within 0s")
	w.in(t)
	if t.Failed() {
		t.FailNow()
	}
}

// steps is the walk of an installed package.
func (w *walk) steps(t *testing.T) {
	for _, step := range []struct {
		name string
		do   func(w *walk, t *testing.T)
	}{
		{"units start", (*walk).unitsStart},
		{"socket activation", (*walk).activation},
		{"failures in a row", (*walk).failures},
		{"slow activation", (*walk).slowActivation},
		{"reload", (*walk).reload},
		{"the doctor by itself", (*walk).doctor},
		{"roll-out is put back", (*walk).rollOut},
		{"reboot in a roll-out", (*walk).rebootInRollOut},
		{"power cut behind a login", (*walk).powerCut},
		{"full disk", (*walk).fullDisk},
		{"read-only disk", (*walk).readOnlyDisk},
		{"upgrade while logged in", (*walk).upgrade},
		{"removal while logged in", (*walk).removal},
	} {
		t.Run(step.name, func(t *testing.T) { step.do(w, t) })
	}
}
