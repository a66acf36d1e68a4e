package packages_test

import (
	"os/exec"
	"strings"
	"testing"
)

// rpm has the machine's rpm work on another root, with what that does on a
// system of its own: scripts run within. Debian has no rpm database that could
// say that the C library is there.
func (d debian) rpm(t *testing.T, args ...string) string {
	t.Helper()
	output, err := exec.Command("rpm", append([]string{"--root", d.root, "--nodeps"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("rpm %q: %v\n%s", args, err, output)
	}
	if strings.Contains(string(output), "debconf") {
		t.Errorf("rpm %q: expected nothing of debconf's troubles, found\n%s", args, output)
	}
	return string(output)
}

// The rpm on a Debian: what is in it works, and goes again. SELinux and
// authselect are not here.
func TestRPM(t *testing.T) {
	t.Parallel()
	onEach(t, [2]string{"2204", "2214"}, testRPM)
}

func testRPM(t *testing.T, d debian) {
	rpm := built(t, "rpm")
	before := d.files(t, logins...)
	d.rpm(t, "-i", rpm)
	if names := changed(before, d.files(t, logins...), ownService); len(names) > 0 {
		t.Errorf("installing changed %q", names)
	}
	secret := d.enroll(t)
	// Debian's libpam looks for modules elsewhere.
	stock := d.read(t, "/etc/pam.d/sshd")
	d.write(t, "/etc/pam.d/sshd", strings.Replace(stock, "@include common-auth\n", "@include common-auth\nauth required /usr/lib64/security/pam_otpgate.so\n", 1))
	d.run(t, "cp", "/usr/share/doc/otpgate/examples/sshd_config.d/10-otpgate.conf", "/etc/ssh/sshd_config.d/")
	used := d.code(t, secret, 1)
	d.expectIn(t, used)
	d.expectOut(t, used)

	d.run(t, "chown", "-R", "otpgate:", "/etc/otpgate/users", "/var/lib/otpgate")
	state := d.files(t, "/etc/otpgate", "/var/lib/otpgate", "/etc/pam.d")
	d.rpm(t, "-U", "--force", rpm)
	if names := changed(state, d.files(t, "/etc/otpgate", "/var/lib/otpgate", "/etc/pam.d")); len(names) > 0 {
		t.Errorf("the upgrade changed %q", names)
	}
	d.expectOut(t, used)

	said := d.rpm(t, "-e", "otpgate")
	if !strings.Contains(said, "/etc/pam.d/sshd asks for no code any more") {
		t.Errorf("expected to be told of /etc/pam.d/sshd, found\n%s", said)
	}
	if d.read(t, "/etc/pam.d/sshd") != stock {
		t.Error("/etc/pam.d/sshd is not as it was")
	}
	d.expectIn(t)
	for path := range d.files(t, "/usr") {
		if strings.Contains(path, "otpgate") {
			t.Errorf("the removal left %s", path)
		}
	}
	if secrets := d.read(t, "/etc/otpgate/users/alice.toml"); !strings.Contains(secrets, secret) {
		t.Error("expected the secret files to stay")
	}
}
