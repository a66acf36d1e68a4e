package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// pamSystemErr is PAM_SYSTEM_ERR of <security/_pam_types.h>, pamAuthErr PAM_AUTH_ERR.
const pamSystemErr, pamAuthErr = 4, 7

// keysOf is where a site's keys are.
func keysOf(here machine.Site) string { return filepath.Join(filepath.Dir(here.Config), "keys") }

// ctl runs otpctl with a site's configuration. It must not fail.
func ctl(t *testing.T, here machine.Site, args ...string) string {
	t.Helper()
	output, err := exec.Command(machine.Files+"/otpctl", append([]string{"--config", here.Config}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("otpctl %q: %v: %s", args, err, output)
	}
	return string(output)
}

// makeKey makes a key of a site, which must not turn up anywhere from now on.
func makeKey(t *testing.T, here machine.Site, name string) (path string) {
	t.Helper()
	if err := os.MkdirAll(keysOf(here), 0o700); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(keysOf(here), name)
	ctl(t, here, "secrets", "init", path, "--no-spare")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	machine.Keep(strings.TrimRight(lines[len(lines)-1], "="))
	return path
}

// keysTable is the table of the configuration.
func keysTable(name string, keys ...string) string {
	text := "[secrets]\nkeys = ["
	for _, key := range keys {
		text += "'/etc/otpgate-sites/" + name + "/keys/" + key + "', "
	}
	return text + "]\n"
}

// expectKeyFaults has the key away, and then others able to read it. login tries a right
// code on one path, which is denied.
func expectKeyFaults(t *testing.T, p *machine.Person, file, key string, login func(path machine.Path)) {
	t.Helper()
	for _, spoil := range []struct {
		says       string
		do, mended func() error
	}{
		{"no such file", func() error { return os.Rename(key, key+"-away") }, func() error { return os.Rename(key+"-away", key) }},
		{"mode 0444", func() error { return os.Chmod(key, 0o444) }, func() error { return os.Chmod(key, 0o400) }},
	} {
		if err := spoil.do(); err != nil {
			t.Fatal(err)
		}
		for _, path := range machine.Paths {
			login(path)
		}
		faults := machine.Log.Lines("user="+p.Name+" ", "verdict=fault", "rule=secret-file", file, key, spoil.says)
		if len(faults) != 2 {
			t.Errorf("%s: expected two faults that name file and key, found\n%s", spoil.says, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
		if err := spoil.mended(); err != nil {
			t.Fatal(err)
		}
	}
}

// Secrets are encrypted, and their key is changed, while people log in by a forked
// core of root's and a verifier without root's rights. A key that is missing is a
// fault in both, costs nobody anything, and comes back with the next login.
func TestEncryptedSecrets(t *testing.T) {
	t.Parallel()
	const name, window = "encrypted", "[totp]\nwindow = 3\n"
	here := machine.NewSite(t, name, window+keysTable(name, "first"))
	as := own(t, here)
	first := makeKey(t, here, "first")
	expectOwnedBy(t, first, as)
	systemd(t, here, "tmpfiles.d/otpgate.conf", "systemd-tmpfiles", "--create")
	machine.StartVerifier(t, here, machine.VerifierOptions{Credential: as, Activated: true})
	services := map[machine.Path]string{}
	for _, path := range machine.Paths {
		services[path] = "encrypted-" + string(path)
		here.Over(path).CodeOnly(t, services[path], "protocol=ssh")
	}
	in := func(path machine.Path, p *machine.Person, code string, want int) {
		t.Helper()
		if verdict := plainLogin(t, services[path], p, code); verdict != want {
			t.Errorf("%s: expected %d, found %d\n%s", path, want, verdict, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	p := machine.WithoutUser("enc").Enroll(t, here.Users)
	file := filepath.Join(here.Users, p.Name+".toml")
	if err := os.Chown(file, int(as.Uid), int(as.Gid)); err != nil {
		t.Fatal(err)
	}
	// All at once: a step that ends meanwhile would make another code of a used one.
	var codes []string
	for offset := range 5 {
		codes = append(codes, p.Code(t, offset-2))
	}
	in(machine.Resident, p, codes[0], hosts.PAMSuccess)
	ctl(t, here, "secrets", "encrypt")
	expectOwnedBy(t, file, as)
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), p.Secret) || !strings.Contains(string(text), "encrypted:") {
		t.Fatalf("%v\n%s", err, text)
	}
	in(machine.Forked, p, codes[0], pamAuthErr)
	in(machine.Forked, p, codes[1], hosts.PAMSuccess)
	in(machine.Resident, p, codes[1], pamAuthErr)
	in(machine.Resident, p, codes[2], hosts.PAMSuccess)

	expectKeyFaults(t, p, file, first, func(path machine.Path) { in(path, p, codes[3], pamSystemErr) })
	if status := ctl(t, here, "status", p.Name); !strings.Contains(status, "Wrong codes:     0\n") {
		t.Errorf("expected no wrong code, found\n%s", status)
	}

	// Another key.
	here.Configure(t, window+keysTable(name, "second", "first")+"required = true\n")
	makeKey(t, here, "second")
	in(machine.Forked, p, codes[3], hosts.PAMSuccess)
	ctl(t, here, "secrets", "rotate")
	here.Configure(t, window+keysTable(name, "second")+"required = true\n")
	in(machine.Forked, p, codes[3], pamAuthErr)
	in(machine.Resident, p, codes[4], hosts.PAMSuccess)
}

func expectOwnedBy(t *testing.T, path string, as *syscall.Credential) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != as.Uid || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%s: expected it to be uid %d's alone, found uid %d %v", path, as.Uid, uid, info.Mode())
	}
}

// The SFTP server reads the same.
func TestSFTPEncryptedSecrets(t *testing.T) {
	t.Parallel()
	const name = "sftp-encrypted"
	s := startSFTPD(t, name, keysTable(name, "first"), "")
	key := makeKey(t, s.Site, "first")
	p := machine.NewPerson(t, "sfe").Enroll(t, s.Site.Users)
	ctl(t, s.Site, "secrets", "encrypt")
	signer, _ := newKey(t, p)
	try := func(code string) (*sshClient, bool) {
		v := &sshClient{person: p, server: s, codes: []string{code}}
		return v, v.in(t, v.methods([]string{"publickey", "keyboard-interactive"}, signer, 1)...)
	}
	if v, in := try(p.Code(t, -1)); !in {
		t.Errorf("%s is not in:\n%s", p.Name, v.told)
	}
	if err := os.Rename(key, key+"-away"); err != nil {
		t.Fatal(err)
	}
	if v, in := try(p.Code(t, 0)); in {
		t.Errorf("%s is in without the key:\n%s", p.Name, v.told)
	}
	if faults := machine.Log.Lines("user="+p.Name+" ", "verdict=fault", "rule=secret-file", key); len(faults) != 1 {
		t.Errorf("expected one fault that names the key, found\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
	if err := os.Rename(key+"-away", key); err != nil {
		t.Fatal(err)
	}
	if v, in := try(p.Code(t, 0)); !in {
		t.Errorf("%s is not in with the key:\n%s", p.Name, v.told)
	}
}

// The unit of the examples brings the key from a credential that systemd encrypted
// with the host's key.
func TestSecretsUnit(t *testing.T) {
	t.Parallel()
	const name = "encrypted-unit"
	here := machine.NewSite(t, name, "[secrets]\nkeys = ['/run/otpgate-"+name+"/keys/first']\n")
	key := makeKey(t, here, "first")
	run := filepath.Dir(here.Socket)
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, os.RemoveAll(run)) })
	shipped, err := os.ReadFile("../packaging/examples/otpgate-secrets.service")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("/run/otpgate", run, "/var/lib/otpgate-keys", keysOf(here), "/etc/otpgate/users", here.Users, "\\\n", " ").Replace(string(shipped))
	_, script, found := strings.Cut(text, "ExecStart=/bin/sh -euc '")
	script, _, ended := strings.Cut(script, "'")
	if !found || !ended {
		t.Fatalf("no command in\n%s", text)
	}
	shell := func(script string) {
		t.Helper()
		if output, err := exec.Command("/bin/sh", "-euc", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", script, err, output)
		}
	}
	shell("systemd-creds encrypt --with-key=host --name=otpgate-key " + key + " " + key + ".cred")
	p := machine.WithoutUser("unit").Enroll(t, here.Users)
	shell(script)
	ctl(t, here, "secrets", "encrypt")
	// Again, as after a start. The directory's owner has put a link there.
	victim := filepath.Join(run, "victim")
	if err := errors.Join(os.WriteFile(victim, nil, 0o644), os.Symlink(victim, filepath.Join(run, "keys", ".first"))); err != nil {
		t.Fatal(err)
	}
	shell(script)
	ctl(t, here, "secrets", "encrypt")
	if info, err := os.Stat(victim); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o644 {
		t.Errorf("written through a link: %v, %v", info, err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	here.CodeOnly(t, "encrypted-unit", "protocol=ssh")
	if verdict := plainLogin(t, "encrypted-unit", p, p.Code(t, 0)); verdict != hosts.PAMSuccess {
		t.Errorf("found %d\n%s", verdict, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
}
