package packages_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// accounts are written when the verifier's user is made, and its aide-mémoires.
var accounts = []string{"/etc/passwd", "/etc/passwd-", "/etc/group", "/etc/group-", "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-"}

// From a fresh Debian to a login with a code and back again, as README.md and
// packaging/vagrant/provision do it.
func TestDeb(t *testing.T) {
	t.Parallel()
	onEach(t, [2]string{"2201", "2211"}, testDeb)
}

// expectTriggered has another package change pam.d, where there is no systemd to start
// the doctor.
func expectTriggered(t *testing.T, d debian) {
	t.Helper()
	d.run(t, "dpkg-trigger", "--by-package=openssh-server", "--no-await", "/etc/pam.d")
	if state := d.run(t, "dpkg-query", "-W", "-f", "${db:Status-Status}", "otpgate"); state != "triggers-pending" {
		t.Errorf("expected that a change of pam.d is otpgate's business, found it %s", state)
	}
	d.run(t, "dpkg", "--triggers-only", "otpgate")
	if state := d.run(t, "dpkg-query", "-W", "-f", "${db:Status-Status}", "otpgate"); state != "installed" {
		t.Errorf("expected that nothing is left to do, found it %s", state)
	}
}

func testDeb(t *testing.T, d debian) {
	deb, provision := d.bring(t, built(t, "deb")), d.bring(t, "../vagrant/provision")
	// An admin's own change must not be lost, nor stand in the way.
	d.run(t, "sed", "-i", "s/nullok/nullok debug/", "/etc/pam.d/common-auth")
	fresh := d.files(t, "/etc", "/var/lib/pam")
	before := d.files(t, logins...)
	d.expectIn(t)

	// Without a terminal, and without being told so.
	if said := d.run(t, "env", "-u", "DEBIAN_FRONTEND", "dpkg", "-i", deb); strings.Contains(said, "debconf") {
		t.Errorf("expected nothing of debconf's troubles, found\n%s", said)
	}
	if names := changed(before, d.files(t, logins...), ownService); len(names) > 0 {
		t.Errorf("installing changed %q", names)
	}
	d.expectIn(t)

	expectTriggered(t, d)

	secret := d.enroll(t)
	d.run(t, "sh", provision, deb)
	withLine := d.read(t, "/etc/pam.d/sshd")
	used := d.code(t, secret, 1)
	d.expectIn(t, used)
	d.expectOut(t, used)
	d.expectOut(t, d.wrong(t, secret))

	// An upgrade leaves the line, the ledger and whose the files are.
	d.run(t, "chown", "-R", "otpgate:", "/etc/otpgate/users", "/var/lib/otpgate")
	state := d.files(t, "/etc/otpgate", "/var/lib/otpgate")
	newer := d.newer(t, deb)
	d.run(t, "dpkg", "-i", newer)
	if names := changed(state, d.files(t, "/etc/otpgate", "/var/lib/otpgate")); len(names) > 0 {
		t.Errorf("the upgrade changed %q", names)
	}
	if d.read(t, "/etc/pam.d/sshd") != withLine {
		t.Error("the upgrade changed /etc/pam.d/sshd")
	}
	d.expectOut(t, used)
	d.expectIn(t, d.code(t, secret, 2))

	said := d.run(t, "apt-get", "remove", "-y", "otpgate")
	if !strings.Contains(said, "/etc/pam.d/sshd asks for no code any more") {
		t.Errorf("expected to be told of /etc/pam.d/sshd, found\n%s", said)
	}
	const dropIn = "/etc/ssh/sshd_config.d/10-otpgate.conf"
	if names := changed(before, d.files(t, logins...), ownService, dropIn, "/etc/ssh/sshd_config.d"); len(names) > 0 {
		t.Errorf("after the removal these are not as they were: %q", names)
	}
	d.expectIn(t)

	// Who comes back finds everybody enrolled.
	d.run(t, "sh", provision, deb)
	d.expectIn(t, d.code(t, secret, 3))

	d.expectPurged(t, fresh, dropIn)
}

// expectPurged purges the package, after which nothing differs from a fresh
// system but the accounts and the admin's own file.
func (d debian) expectPurged(t *testing.T, fresh map[string]string, dropIn string) {
	t.Helper()
	d.run(t, "apt-get", "purge", "-y", "otpgate")
	d.expectIn(t)
	excused := append(slices.Clone(accounts), dropIn, "/etc/ssh/sshd_config.d")
	if names := changed(fresh, d.files(t, "/etc", "/var/lib/pam"), excused...); len(names) > 0 {
		t.Errorf("the purge left %q", names)
	}
	for path := range d.files(t, "/etc", "/usr", "/var", "/run", "/opt") {
		if strings.Contains(path, "otpgate") && path != dropIn {
			t.Errorf("the purge left %s", path)
		}
	}
	// Its number must not become somebody else's.
	if !strings.Contains(d.read(t, "/etc/passwd"), "\notpgate:") {
		t.Error("expected the locked user otpgate to stay")
	}
}

// The profile of pam-auth-update asks for a code wherever common-auth is
// included, and goes with the package.
func TestDebProfile(t *testing.T) {
	t.Parallel()
	onEach(t, [2]string{"2202", "2212"}, testDebProfile)
}

func testDebProfile(t *testing.T, d debian) {
	deb := d.bring(t, built(t, "deb"))
	before := d.files(t, "/etc/pam.d")
	d.run(t, "dpkg", "-i", deb)
	secret := d.enroll(t)
	d.write(t, "/etc/ssh/sshd_config.d/10-otpgate.conf", "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n")
	d.run(t, "pam-auth-update", "--enable", "otpgate")
	d.expectIn(t, d.code(t, secret, 1))
	d.expectOut(t, d.wrong(t, secret))
	// An upgrade keeps what was chosen.
	d.run(t, "dpkg", "-i", d.newer(t, deb))
	d.expectIn(t, d.code(t, secret, 2))
	d.run(t, "apt-get", "remove", "-y", "otpgate")
	if names := changed(before, d.files(t, "/etc/pam.d"), ownService); len(names) > 0 {
		t.Errorf("after the removal these are not as they were: %q", names)
	}
	d.expectIn(t)

	// pam-auth-update leaves alone what an admin has changed.
	d.run(t, "dpkg", "-i", deb)
	d.run(t, "pam-auth-update", "--enable", "otpgate")
	d.run(t, "sed", "-i", "s/nullok/nullok debug/", "/etc/pam.d/common-auth")
	d.expectIn(t, d.code(t, secret, 3))
	d.run(t, "apt-get", "remove", "-y", "otpgate")
	if left := d.read(t, "/etc/pam.d/common-auth"); strings.Contains(left, "pam_otpgate.so") || !strings.Contains(left, "nullok debug") {
		t.Errorf("found\n%s", left)
	}
	d.expectIn(t)
	if got := d.loginWith(t, "wrong"); got.In(alice) {
		t.Errorf("a wrong password got in: %+v", got)
	}
}

// newer is the package as its next version.
func (d debian) newer(t *testing.T, deb string) string {
	t.Helper()
	return d.repacked(t, deb, func(string) {})
}

// Where nothing but the code is asked for, the package stays: without its line
// everybody would get in.
func TestDebStaysWhereItIsAlone(t *testing.T) {
	t.Parallel()
	d := newDebian(t, bookworm, "2203")
	d.run(t, "dpkg", "-i", d.bring(t, built(t, "deb")))
	d.run(t, "pam-auth-update", "--enable", "otpgate")
	const alone = "auth required pam_otpgate.so\nauth required pam_permit.so\n"
	d.write(t, "/etc/pam.d/door", alone)
	d.write(t, "/etc/pam.d/window", "@include common-auth\nauth required pam_otpgate.so\n")
	before := d.files(t, logins...)
	said, err := d.try("apt-get", "remove", "-y", "otpgate")
	if err == nil || !strings.Contains(said, "/etc/pam.d/door") || strings.Contains(said, "  /etc/pam.d/window") {
		t.Errorf("expected a refusal that names /etc/pam.d/door alone, found %v\n%s", err, said)
	}
	if names := changed(before, d.files(t, logins...)); len(names) > 0 {
		t.Errorf("the refused removal changed %q", names)
	}
	if _, err := os.Stat(d.root + "/usr/lib/x86_64-linux-gnu/security/pam_otpgate.so"); err != nil {
		t.Errorf("expected the module to be there still: %v", err)
	}
	d.write(t, "/etc/pam.d/door", "@include common-auth\n"+alone)
	d.run(t, "apt-get", "remove", "-y", "otpgate")
	if left := d.read(t, "/etc/pam.d/door"); left != "@include common-auth\nauth required pam_permit.so\n" {
		t.Errorf("found %q", left)
	}
}
