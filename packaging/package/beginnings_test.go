package packages_test

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a story begins with.

// hostname names the machine of the tests, until the story ends.
func (r *run) hostname(name string) {
	r.Helper()
	before, err := os.Hostname()
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = unix.Sethostname([]byte(before)) })
	if err := unix.Sethostname([]byte(name)); err != nil {
		r.Fatal(err)
	}
}

// enrolled is alice with her phone.
func (r *run) enrolled() {
	r.Helper()
	r.secret, r.steps = r.enroll(r.T), 1
}

// encryptingWith names keys in the configuration.
func (r *run) encryptingWith(keys ...string) {
	r.Helper()
	r.write(r.T, "/etc/otpgate/otpgate.toml", "[totp]\nwindow = 10\n[secrets]\nkeys = ['"+strings.Join(keys, "', '")+"']\n")
}

// pamEnabled asks for codes in sshd, for five minutes.
func (r *run) pamEnabled() {
	r.Helper()
	r.must("cp packaging/examples/10-otpgate.conf /etc/ssh/sshd_config.d/ && setsid -w otpctl pam enable sshd")
}

// pending sees to it that a change waits to be confirmed.
func (r *run) pending() {
	r.Helper()
	if _, err := os.Stat(r.root + "/etc/otpgate/pending/sshd.json"); err != nil {
		r.again()
	}
}

// again makes the change anew, whatever became of it.
func (r *run) again() {
	r.Helper()
	r.must("rm -f /etc/otpgate/pending/sshd.json /etc/pam.d/sshd.before-* && sed -i /otpgate/d /etc/pam.d/sshd && setsid -w otpctl pam enable sshd")
}

// pid is that of what stays in the background: the shell's program.
func (r *run) pid() (placeholder, value string) {
	return "PID", strconv.Itoa(r.background.Cmd.Process.Pid)
}
