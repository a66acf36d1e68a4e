package packages_test

import (
	"os/exec"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// The programs of each release that log people in ask for a code and let
// nobody in without: its own sshd, sudo, su and login, by its own libpam.
func TestLogins(t *testing.T) {
	t.Parallel()
	onEach(t, [2]string{"2206", "2216"}, func(t *testing.T, d debian) { testLogins(t, d, built(t, "deb")) })
}

func testLogins(t *testing.T, d debian, deb string) {
	d.run(t, "dpkg", "-i", d.bring(t, deb))
	secret := d.enroll(t)
	d.run(t, "cp", "/usr/share/doc/otpgate/examples/sshd_config.d/10-otpgate.conf", "/etc/ssh/sshd_config.d/")
	d.run(t, "useradd", "-m", "bob")
	d.write(t, "/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n")
	// A shell that says who is in, for login, which runs nothing else.
	d.write(t, "/usr/bin/greet", "#!/bin/sh\n"+machine.Greet+"\n")
	d.run(t, "chmod", "755", "/usr/bin/greet")
	for _, service := range []string{"sshd", "sudo", "su", "login"} {
		if said, err := d.try("otpctl", "pam", "enable", service, "--confirm-within", "0s", "--force"); err != nil {
			t.Errorf("pam enable %s: %v\n%s", service, err, said)
		}
	}

	as := func(user string, args ...string) *exec.Cmd {
		return d.command(append([]string{"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups"}, args...)...)
	}
	at := func(cmd *exec.Cmd, given machine.Answers) machine.Dialogue {
		t.Helper()
		dialogue := machine.Open(t, cmd).Answer(given, machine.Patience)
		t.Logf("%q:\n%s", cmd.Args, dialogue.Transcript)
		return dialogue
	}
	ways := []struct {
		name  string
		login func(given machine.Answers) machine.Dialogue
	}{
		{"ssh", func(given machine.Answers) machine.Dialogue {
			return d.loginWith(t, given.Passwords[0], given.Codes...)
		}},
		{"sudo", func(given machine.Answers) machine.Dialogue {
			return at(as("alice", "sudo", "-k", "sh", "-c", `test "$(id -u)" = 0 && echo "$SUDO_USER is"" in"`), given)
		}},
		{"su", func(given machine.Answers) machine.Dialogue {
			return at(as("bob", "su", "alice", "-c", machine.Greet), given)
		}},
		{"login", func(given machine.Answers) machine.Dialogue {
			d.run(t, "usermod", "-s", "/usr/bin/greet", alice.Name)
			defer d.run(t, "usermod", "-s", "/bin/bash", alice.Name)
			given.Names = []string{alice.Name}
			return at(d.command("login"), given)
		}},
	}
	for i, way := range ways {
		code := d.code(t, secret, i+1)
		right := machine.Answers{Passwords: []string{alice.Password}, Codes: []string{code}}
		if got := way.login(right); !got.In(alice) || got.Codes != 1 || got.Passwords != 1 {
			t.Errorf("%s: expected alice to be in after one password and one code, found %+v", way.name, got)
		}
		if got := way.login(right); got.In(alice) || got.Codes == 0 {
			t.Errorf("%s: expected a used code to be asked for and refused, found %+v", way.name, got)
		}
		wrong := machine.Answers{Passwords: []string{"not-hers"}, Codes: []string{d.code(t, secret, i+2)}}
		if got := way.login(wrong); got.In(alice) || got.Codes > 0 {
			t.Errorf("%s: expected no code to be asked for after a wrong password, found %+v", way.name, got)
		}
	}
}
