package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Where ProFTPD lets the password alone in the doctor says so, and where it does
// not the doctor is silent: each on the real server.
func TestProFTPDPasswordAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		asking string
		alone  bool
	}{
		"stock":            {"", true},
		"without the star": {"AuthOrder mod_auth_pam.c mod_auth_unix.c\n", true},
		"with it":          {"AuthOrder mod_auth_pam.c* mod_auth_unix.c\n", false},
		"unix first":       {"AuthOrder mod_auth_unix.c mod_auth_pam.c*\n", false},
		"without PAM":      {"AuthOrder mod_auth_unix.c\n", true},
		"PAM off":          {"AuthPAM off\nAuthOrder mod_auth_pam.c* mod_auth_unix.c\n", true},
		"global":           {"<Global>\nAuthOrder mod_auth_pam.c* mod_auth_unix.c\n</Global>\n", false},
		"continued":        {"authorder mod_auth_pam.c* \\\n  mod_auth_unix.c\n", false},
		"of a module":      {"<IfModule mod_auth_pam.c>\nAuthOrder mod_auth_pam.c* mod_auth_unix.c\n</IfModule>\n", false},
		"another server's": {"<VirtualHost 127.0.0.2>\nAuthOrder mod_auth_pam.c* mod_auth_unix.c\nAuthPAMConfig another\n</VirtualHost>\n", true},
		"unix last":        {"AuthOrder mod_auth_file.c mod_auth_pam.c mod_auth_unix.c\n", true},
		"file and PAM":     {"AuthOrder mod_auth_file.c mod_auth_pam.c*  mod_auth_unix.c\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, "proftpd-"+strings.ToLower(strings.ReplaceAll(name, " ", "-")), "")
			here.AroundPassword(t, here.Name, debianPassword, "protocol=ftp")
			p := machine.NewPerson(t, "alo").Enroll(t, here.Users)
			server := hosts.StartProFTPDAsking(t, here.Name, test.asking)
			if in := server.In(t, p, p.Password); in != test.alone {
				t.Errorf("the password alone: in: %v, expected %v", in, test.alone)
			}
			said := passwordAlone(t, here.Name, "etc/proftpd/proftpd.conf", test.asking+"AuthPAMConfig "+here.Name+"\n")
			if found := said != ""; found != test.alone {
				t.Errorf("expected a finding: %v, found %q", test.alone, said)
			}
			if test.alone && !strings.Contains(said, "mod_auth_pam.c*") {
				t.Errorf("expected to be told what to write, found %s", said)
			}
		})
	}
}

// The same of dovecot and its passdbs.
func TestDovecotPasswordAlone(t *testing.T) {
	t.Parallel()
	// One that knows the password of PAM; dovecot 2.4 has none that reads shadow.
	same := hosts.Passdb(t, "static", "PASSWORD")
	ends := []string{"result_failure = return-fail", "result_internalfail = return-fail"}
	for name, test := range map[string]struct {
		before string
		pam    []string
		after  string
		alone  bool
	}{
		"pam":           {"", nil, "", false},
		"behind":        {"", nil, same, true},
		"before":        {same, nil, "", true},
		"last word":     {"", ends, same, false},
		"denying first": {hosts.Passdb(t, "passwd-file", "/dev/null", "deny = yes"), nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.Resident.NewSite(t, "dovecot-"+strings.ReplaceAll(name, " ", "-"), "")
			here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
			p := machine.NewPerson(t, "alo").Enroll(t, here.Users)
			passdbs := test.before + hosts.Passdb(t, "pam", here.Name, test.pam...) + test.after
			passdbs = strings.ReplaceAll(passdbs, "PASSWORD", p.Password)
			if in := hosts.StartDovecotAsking(t, passdbs).In(t, p, p.Password); in != test.alone {
				t.Errorf("the password alone: in: %v, expected %v", in, test.alone)
			}
			said := passwordAlone(t, here.Name, "etc/dovecot/dovecot.conf", passdbs)
			if found := said != ""; found != test.alone {
				t.Errorf("expected a finding: %v, found %q", test.alone, said)
			}
		})
	}
}

// sudo -i asks by a service of its own: where that has no line, sudo's does not
// count, and the doctor says so.
func TestSudoLoginPasswordAlone(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "sudo-login", "")
	here.AddToService(t, "sudo", here.Name, "protocol=sudo")
	p := machine.NewPerson(t, "log").Enroll(t, here.Users)
	rules := p.Name + " ALL=(ALL) ALL\nDefaults:" + p.Name + " pam_service=" + here.Name + "\n"
	if err := os.WriteFile("/etc/sudoers.d/"+here.Name, []byte(rules), 0o440); err != nil {
		t.Fatal(err)
	}
	cmd := p.As(exec.Command("/usr/bin/sudo", "-k", "-i", "/bin/sh", "-c", asRoot))
	expectIn(t, p, machine.Open(t, cmd).Answer(machine.Answers{Passwords: []string{p.Password}}, machine.Patience), 0)
}

// Where dovecot remembers what PAM said a used code gets in again, and the doctor
// says so.
func TestDovecotRemembers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		size string
		pam  string
		in   bool
	}{
		"no cache":   {"0", hosts.Passdb(t, "pam", "SERVICE"), false},
		"stock":      {"10M", hosts.Passdb(t, "pam", "SERVICE"), hosts.NewDovecot(t)},
		"with a key": {"10M", "passdb {\n  driver = pam\n  args = cache_key=%u SERVICE\n}\n", true},
	}
	if hosts.NewDovecot(t) {
		delete(tests, "with a key")
		tests["not this"] = struct {
			size string
			pam  string
			in   bool
		}{"10M", hosts.Passdb(t, "pam", "SERVICE", "use_cache = no"), false}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.Resident.NewSite(t, "remembers-"+strings.ReplaceAll(name, " ", "-"), "")
			here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
			p := machine.NewPerson(t, "rem").Enroll(t, here.Users)
			text := "auth_cache_size = " + test.size + "\n" + strings.ReplaceAll(test.pam, "SERVICE", here.Name)
			server := hosts.StartDovecotAsking(t, text)
			field := p.Password + p.Code(t, 0)
			if !server.In(t, p, field) {
				t.Error("not in with the right code")
			}
			if in := server.In(t, p, field); in != test.in {
				t.Errorf("with the used code: in: %v, expected %v", in, test.in)
			}
			said := found(t, here.Name, "etc/dovecot/dovecot.conf", text, "mail-remembered")
			if (said != "") != test.in {
				t.Errorf("expected a finding: %v, found %q", test.in, said)
			}
		})
	}
}

// passwordAlone is what the doctor says of a service and its server's file in a
// tree of files, "" if nothing of the kind.
func passwordAlone(t *testing.T, service, path, text string) string {
	t.Helper()
	return found(t, service, path, text, "password-alone")
}

// found is the doctor's finding of that id there.
func found(t *testing.T, service, path, text, id string) string {
	t.Helper()
	root := t.TempDir()
	pam, err := os.ReadFile("/etc/pam.d/" + service)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"etc/pam.d/" + service: string(pam), path: text, "etc/pam.d/common-auth": "auth requisite pam_unix.so\n", "etc/debian_version": "12\n"} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	findings := doctor.Doctor{Machine: target.Machine{Root: root}, Services: []string{service}}.Examine(t.Context())
	said := slices.IndexFunc(findings, func(f finding.Finding) bool { return f.ID == id })
	if said < 0 {
		return ""
	}
	return findings[said].String()
}

// Who types the password at the code prompt is told so and asked again.
func TestPasswordAtCodePrompt(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "slip", "")
	here.AddToService(t, "sudo", here.Name, "protocol=sudo")
	p := sudoer(t, here)
	if err := os.WriteFile("/etc/sudoers.d/"+here.Name, []byte("Defaults:"+p.Name+" pam_service="+here.Name+"\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	d := sudo(t, here, p, nil, machine.Answers{Passwords: []string{p.Password}, Codes: []string{p.Password, p.Code(t, 0)}})
	expectIn(t, p, d, 2)
}
