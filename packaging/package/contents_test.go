package packages_test

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// common are the files that both packages have, by mode.
var common = map[string]string{
	"/usr/bin/otpctl": "-rwxr-xr-x", "/usr/sbin/otpgate-verifierd": "-rwxr-xr-x", "/usr/libexec/otpgate/otpgate-send": "-rwxr-xr-x",
	"/usr/libexec/otpgate/pam-out":                                             "-rwxr-xr-x",
	"/usr/lib/systemd/system/otpgate-verifierd.service":                        "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-verifierd.socket":                         "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-pam-restore.service":                      "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-doctor.service":                           "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-doctor.timer":                             "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-remind.service":                           "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-remind.timer":                             "-rw-r--r--",
	"/usr/lib/systemd/system/sysinit.target.wants/otpgate-pam-restore.service": "l---------", // nfpm's; a link has no mode of its own
	"/usr/lib/sysusers.d/otpgate.conf":                                         "-rw-r--r--",
	"/usr/lib/tmpfiles.d/otpgate.conf":                                         "-rw-r--r--",
	"/usr/share/otpgate/own.conf":                                              "-rw-r--r--",
	"/usr/share/otpgate/prometheus/otpgate.rules.yml":                          "-rw-r--r--",
	"/usr/share/otpgate/grafana/otpgate.json":                                  "-rw-r--r--",
	"/usr/share/otpgate/send.conf":                                             "-rw-r--r--",
	"/usr/share/otpgate/remote.conf":                                           "-rw-r--r--",
	"/usr/share/otpgate/gateway.conf":                                          "-rw-r--r--",
	"/usr/sbin/otpgate-ledgerd":                                                "-rwxr-xr-x",
	"/usr/lib/systemd/system/otpgate-ledgerd.service":                          "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-ledgerd.socket":                           "-rw-r--r--",
	"/usr/sbin/otpgate-portal":                                                 "-rwxr-xr-x",
	"/usr/lib/systemd/system/otpgate-portal.service":                           "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-portal.socket":                            "-rw-r--r--",
	"/usr/share/otpgate/portal.conf":                                           "-rw-r--r--",
	"/usr/share/man/man8/otpgate-portal.8.gz":                                  "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-verifierd-portal.service":                 "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-verifierd-portal.socket":                  "-rw-r--r--",
	"/usr/share/otpgate/ledgerd.conf":                                          "-rw-r--r--",
	"/usr/share/man/man8/otpgate-ledgerd.8.gz":                                 "-rw-r--r--",
	"/usr/sbin/otpgate-gateway":                                                "-rwxr-xr-x",
	"/usr/lib/systemd/system/otpgate-gateway.service":                          "-rw-r--r--",
	"/usr/share/man/man8/otpgate-gateway.8.gz":                                 "-rw-r--r--",
	"/usr/share/man/man1/otpctl.1.gz":                                          "-rw-r--r--",
	"/usr/share/man/man5/otpgate.toml.5.gz":                                    "-rw-r--r--",
	"/usr/share/man/man5/otpgate-user.5.gz":                                    "-rw-r--r--",
	"/usr/share/man/man5/otpgate-doctor.5.gz":                                  "-rw-r--r--",
	"/usr/share/man/man8/pam_otpgate.8.gz":                                     "-rw-r--r--",
	"/usr/share/man/man8/otpgate-verifierd.8.gz":                               "-rw-r--r--",
	"/usr/share/man/man8/otpgate-sftpd.8.gz":                                   "-rw-r--r--",
	"/usr/sbin/otpgate-sftpd":                                                  "-rwxr-xr-x",
	"/usr/libexec/otpgate/otpgate-sftpd-front":                                 "-rwxr-xr-x",
	"/usr/share/bash-completion/completions/otpctl":                            "-rw-r--r--",
	"/usr/share/fish/vendor_completions.d/otpctl.fish":                         "-rw-r--r--",
	"/usr/share/doc/otpgate/copyright":                                         "-rw-r--r--",
	"/usr/share/doc/otpgate/README.md":                                         "-rw-r--r--",
	"/usr/share/doc/otpgate/packages.md":                                       "-rw-r--r--",
	"/usr/share/doc/otpgate/pictures/setup.png":                                "-rw-r--r--",
	"/usr/share/doc/otpgate/examples/sshd_config.d/10-otpgate.conf":            "-rw-r--r--",
	"/usr/share/doc/otpgate/examples/ansible/otpgate.yml":                      "-rw-r--r--",
	"/usr/share/doc/otpgate/examples/otpgate-secrets.service":                  "-rw-r--r--",
	"/usr/share/doc/otpgate/examples/doctor.toml":                              "-rw-r--r--",
	"/usr/lib/systemd/system/otpgate-sftpd.service":                            "-rw-r--r--",
	"/etc/pam.d/otpgate-sftpd":                                                 "-rw-r--r--",
	"/etc/fail2ban/filter.d/otpgate.conf":                                      "-rw-r--r--",
}

var onlyDeb = map[string]string{
	"/usr/lib/MULTIARCH/security/pam_otpgate.so":            "-rw-r--r--",
	"/usr/lib/MULTIARCH/security/pam_otpgate_core.so":       "-rw-r--r--",
	"/usr/share/pam-configs/otpgate":                        "-rw-r--r--",
	"/usr/share/zsh/vendor-completions/_otpctl":             "-rw-r--r--",
	"/usr/share/doc/otpgate/changelog.Debian.gz":            "-rw-r--r--",
	"/etc/apparmor.d/abstractions/authentication.d/otpgate": "-rw-r--r--",
}

var onlyRPM = map[string]string{
	"/usr/lib64/security/pam_otpgate.so":           "-rw-r--r--",
	"/usr/lib64/security/pam_otpgate_core.so":      "-rw-r--r--",
	"/usr/share/zsh/site-functions/_otpctl":        "-rw-r--r--",
	"/usr/share/otpgate/selinux/otpgate.te":        "-rw-r--r--",
	"/usr/share/otpgate/selinux/otpgate.fc":        "-rw-r--r--",
	"/usr/share/otpgate/selinux/Makefile":          "-rw-r--r--",
	"/usr/share/otpgate/authselect/stack":          "-rw-r--r--",
	"/usr/share/otpgate/authselect/create-profile": "-rwxr-xr-x",
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// listed are a package's files, by path without the dot that tar puts there.
var listed = regexp.MustCompile(`(?m)^([-dl]\S{9})\s.*?(?:root[/ ]+root|0/0)\s.*?\s\.?(/\S*)(?: -> \S+)?$`)

func contents(t *testing.T, list string, want ...map[string]string) {
	t.Helper()
	multiarch := strings.TrimSpace(output(t, "gcc", "-print-multiarch"))
	found := map[string]string{}
	for _, match := range listed.FindAllStringSubmatch(list, -1) {
		found[match[2]] = match[1]
	}
	if len(found) != strings.Count(list, "\n") {
		t.Errorf("understood %d entries of these; expected all to be root's:\n%s", len(found), list)
	}
	for _, files := range want {
		for path, mode := range files {
			path = strings.Replace(path, "MULTIARCH", multiarch, 1)
			if found[path] != mode {
				t.Errorf("expected %s %s, found %q", mode, path, found[path])
			}
		}
	}
	for path, mode := range found {
		outside := !strings.HasPrefix(path, "/usr/") && !strings.HasPrefix(path, "/etc/apparmor.d/") && !strings.HasPrefix(path, "/etc/fail2ban/filter.d/") && path != ownService
		if strings.ContainsAny(mode, "sStT") || mode[0] != 'd' && outside || strings.HasPrefix(path, "/usr/local") {
			t.Errorf("did not expect %s %s", mode, path)
		}
	}
}

func TestContents(t *testing.T) {
	t.Run("deb", func(t *testing.T) {
		contents(t, output(t, "dpkg-deb", "--contents", built(t, "deb")), common, onlyDeb)
	})
	t.Run("rpm", func(t *testing.T) {
		contents(t, output(t, "rpm", "-qplv", built(t, "rpm")), common, onlyRPM)
	})
}

func TestLintian(t *testing.T) {
	t.Parallel()
	t.Log(output(t, "lintian", "--allow-root", "--no-cfg", "--fail-on", "error", built(t, "deb")))
}

// apart is a program in mounts of its own, where what it writes into the
// machine's directories is thrown away.
const apart = `mount -t tmpfs apart /mnt
for dir in usr etc var; do
	mkdir -p /mnt/$dir/upper /mnt/$dir/work
	mount -t overlay apart -o lowerdir=/$dir,upperdir=/mnt/$dir/upper,workdir=/mnt/$dir/work /$dir
done
exec "$@"`

// rpmlint unpacks what it looks at, and cpio takes the names as they are:
// absolute.
func TestRpmlint(t *testing.T) {
	t.Parallel()
	t.Log(output(t, "unshare", "--mount", "sh", "-ec", apart, "sh", "rpmlint", "-c", "rpmlint.toml", built(t, "rpm")))
}

// The policy compiles against Debian's reference policy; that of RHEL is not
// here.
func TestSELinuxCompiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("selinux")); err != nil {
		t.Fatal(err)
	}
	said := output(t, "make", "-C", dir)
	if info, err := os.Stat(dir + "/otpgate.pp"); err != nil || info.Size() == 0 || strings.Contains(strings.ToLower(said), "warning") {
		t.Errorf("expected a policy and no warning, found %v\n%s", err, said)
	}
	// What the module says, in the language that it is compiled from.
	rules := output(t, "/usr/libexec/selinux/hll/pp", dir+"/otpgate.pp")
	for _, want := range []string{
		`typetransition init_t otpgate_verifierd_exec_t process otpgate_verifierd_t`,
		`typetransition init_t otpgate_sftpd_exec_t process otpgate_sftpd_t`,
		`typetransition init_t otpgate_ledgerd_exec_t process otpgate_ledgerd_t`,
		`allow otpgate_verifierd_t otpgate_ledgerd_t \(unix_stream_socket \(.*connectto`,
		`allow otpgate_ledgerd_t otpgate_ledgerd_key_t \(file \(.*read`,
		`allow systemd_tmpfiles_t otpgate_ledgerd_key_t \(file \(.*setattr`,
		`typetransition init_t otpgate_portal_exec_t process otpgate_portal_t`,
		`allow otpgate_portal_t otpgate_verifierd_t \(unix_stream_socket \(.*connectto`,
		`allow otpgate_portal_t otpgate_portal_socket_t \(sock_file \(.*write`,
		`allow otpgate_portal_t otpgate_portal_key_t \(file \(.*read`,
		`allow httpd_t otpgate_portal_runtime_t \(sock_file \(.*write`,
		`allow systemd_tmpfiles_t otpgate_portal_key_t \(file \(.*setattr`,
		`typetransition otpgate_verifierd_t otpgate_token_exec_t process otpgate_token_t`,
		`allow otpgate_verifierd_t otpgate_token_t \(process2 \(.*nnp_transition`,
		`allow otpgate_verifierd_t otpgate_token_t \(process \(.*sigkill`,
		`allow otpgate_verifierd_t bin_t \(dir \(.*search`,
		`allow otpgate_verifierd_t self \(process \(setpgid`,
		`allow otpgate_token_t otpgate_credential_t \(file \(.*read`,
		`allow otpgate_token_t shell_exec_t \(file \(.*execute_no_trans`,
		`allow otpgate_token_t http_port_t \(tcp_socket \(name_connect`,
		`allow systemd_tmpfiles_t otpgate_credential_t \(file \(.*setattr`,
		`allow systemd_tmpfiles_t otpgate_secret_t \(dir \(.*setattr.*search`,
		`allow systemd_tmpfiles_t otpgate_secret_t \(file \(.*setattr`,
		`allow systemd_tmpfiles_t otpgate_var_lib_t \(file \(.*setattr`,
	} {
		if !regexp.MustCompile(want).MatchString(rules) {
			t.Errorf("expected the rule %s", want)
		}
	}
	// What talks to the network for a token or with etcd, and the verifier, which may run
	// nothing else.
	for _, never := range []string{`allow otpgate_(token|ledgerd)_t otpgate_(secret|var_lib)_t`, `allow otpgate_ledgerd_t otpgate_credential_t`,
		`allow otpgate_portal_t otpgate_(secret|credential|var_lib|ledgerd_key)_t`, `allow otpgate_portal_t otpgate_runtime_t \(sock_file`, `allow otpgate_portal_t \w+ \(tcp_socket \(.*name_connect`, `allow otpgate_token_t otpgate_credential_t \(\w+ \(.*write`,
		`allow otpgate_verifierd_t (bin|shell_exec)_t \(file \(.*execute_no_trans`} {
		if found := regexp.MustCompile(never).FindString(rules); found != "" {
			t.Errorf("expected no rule as %s", found)
		}
	}
}

// A profile that includes the abstraction for programs that log people in gets
// the verifier's socket by it.
func TestAppArmor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("/etc/apparmor.d")); err != nil {
		t.Fatal(err)
	}
	profile := dir + "/a-login"
	text := "include <tunables/global>\n/usr/bin/a-login {\n  include <abstractions/authentication>\n}\n"
	if err := os.WriteFile(profile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	rules := func() string {
		return output(t, "apparmor_parser", "--base", dir, "--skip-kernel-load", "--skip-cache", "--debug", profile)
	}
	const socket = "otpgate/verifier.sock"
	if err := os.RemoveAll(dir + "/abstractions/authentication.d"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rules(), socket) {
		t.Error("the rule is there without the file: this test shows nothing")
	}
	if err := os.MkdirAll(dir+"/abstractions/authentication.d", 0o755); err != nil {
		t.Fatal(err)
	}
	snippet, err := os.ReadFile("apparmor/otpgate")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/abstractions/authentication.d/otpgate", snippet, 0o644); err != nil {
		t.Fatal(err)
	}
	if said := rules(); !strings.Contains(said, socket) {
		t.Errorf("expected a rule for %s, found\n%s", socket, said)
	}
}

// Whoever gets a program gets the licences of all that is in it.
func TestLicences(t *testing.T) {
	t.Parallel()
	copyright := output(t, "sh", "-ec", `dpkg-deb --fsys-tarfile "$0" | tar -xO ./usr/share/doc/otpgate/copyright`, built(t, "deb"))
	var modules []string
	for _, program := range []string{"otpctl", "otpgate-send", "otpgate-verifierd", "otpgate-gateway", "otpgate-ledgerd", "otpgate-portal", "pam_otpgate_core.so"} {
		info, err := buildinfo.ReadFile("../../build/" + program)
		if err != nil {
			t.Fatal(err)
		}
		for _, dependency := range info.Deps {
			modules = append(modules, dependency.Path+" "+dependency.Version)
		}
	}
	if len(modules) < 5 {
		t.Fatalf("found only the modules %q", modules)
	}
	for _, module := range append(modules, "Go go1.") {
		if !strings.Contains(copyright, "----\n"+module) {
			t.Errorf("the copyright file has nothing of %s", module)
		}
	}
}

// No package names a path that is not in it.
func TestNamedPaths(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range regexp.MustCompile(`/usr/[\w./-]+`).FindAllString(string(text), -1) {
			if _, there := common[path]; !there {
				t.Errorf("%s names %s, which is not in both packages", script, filepath.Clean(path))
			}
		}
	}
}
