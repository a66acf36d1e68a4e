package rollout

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
)

const setups = "../../testdata/doctor/"

// tree is the pam.d of a set-up, without lines of ours.
func tree(t *testing.T, name string) pamstack.Tree {
	t.Helper()
	archive, err := txtar.ParseFile(setups + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, file := range archive.Files {
		if file.Name == "etc/debian_version" || strings.HasPrefix(file.Name, "etc/pam.d/") {
			put(t, root+"/"+file.Name, without(string(file.Data)))
		}
	}
	return pamstack.Of(root)
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

var plain = Line{Module: authstack.ModuleName}

// In stock stacks the line comes to its place, the doctor has nothing to say of
// the result but what is expected, and Remove undoes it to the byte.
func TestPlan(t *testing.T) {
	for _, test := range []struct{ setup, service, behind, note string }{
		{"good/debian-sshd", "sshd", "@include common-auth", ""},
		{"good/debian-sudo-su-login", "sudo", "@include common-auth", ""},
		{"good/debian-sudo-su-login", "su", "@include common-auth", ""},
		{"good/debian-sudo-su-login", "login", "@include common-auth", ""},
		{"good/debian-sssd", "sshd", "@include common-auth", ""},
		{"good/debian-faillock", "sshd", "@include common-auth", ""},
		{"good/rhel-own-stack", "sshd", "auth       requisite    pam_deny.so", ""},
		{"broken/rhel-substack", "sshd", "auth required pam_permit.so", ""},
		{"broken/sudo-include-sufficient", "sudo", "auth required pam_permit.so", ""},
	} {
		t.Run(test.setup+" "+test.service, func(t *testing.T) {
			in := tree(t, test.setup)
			edit, err := Plan(in, config.Default(), test.service, plain)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(edit.After, test.behind+"\nauth required pam_otpgate.so\n") {
				t.Errorf("expected the line behind %q, found\n%s", test.behind, edit.After)
			}
			var notes []string
			for _, f := range edit.Findings {
				notes = append(notes, f.ID)
			}
			if strings.Join(notes, " ") != test.note {
				t.Errorf("the doctor finds %v, expected %q", notes, test.note)
			}
			expectUndone(t, in, edit)
		})
	}
}

func expectUndone(t *testing.T, in pamstack.Tree, edit Edit) {
	t.Helper()
	in.Edited = map[string]string{edit.Path: edit.After}
	back, err := Remove(in, config.Default(), edit.Service)
	if err != nil || back.After != edit.Before {
		t.Errorf("%v: expected\n%q\nfound\n%q", err, edit.Before, back.After)
	}
}

// A server of one field gets two lines, around the password modules.
func TestPlanOneField(t *testing.T) {
	in := tree(t, "good/debian-vsftpd-split")
	edit, err := Plan(in, config.Default(), "vsftpd", Line{Module: authstack.ModuleName, Arguments: []string{"protocol=ftps"}})
	if err != nil {
		t.Fatal(err)
	}
	const want = "auth required pam_otpgate.so split protocol=ftps\n@include common-auth\nauth required pam_otpgate.so protocol=ftps\n"
	if !strings.Contains(edit.After, want) && !strings.Contains(edit.After, strings.Replace(want, "\n@include", "\nauth required pam_listfile.so item=user sense=deny file=/etc/ftpusers onerr=succeed\n@include", 1)) {
		t.Errorf("expected\n%s\nfound\n%s", want, edit.After)
	}
	expectUndone(t, in, edit)
}

// Where no place is right nothing is proposed, and the error says why.
func TestPlanRefuses(t *testing.T) {
	for name, test := range map[string]struct{ setup, service, stack, want string }{
		"include with sufficient": {"broken/sudo-include-sufficient", "sudo", "auth include system-auth\nauth optional pam_cap.so\n", "Write auth substack system-auth at /etc/pam.d/sudo:1"},
		"sufficient":              {"good/debian-sshd", "sshd", "auth sufficient pam_unix.so\nauth required pam_deny.so\n", "ends the stack"},
		"already":                 {"good/debian-sshd", "sshd", "@include common-auth\nauth required pam_otpgate.so\n", "already"},
		"no auth":                 {"good/debian-sshd", "sshd", "account required pam_unix.so\n", "no line of the type auth"},
		"no service":              {"good/debian-sshd", "nothing", "", "there is no service"},
		"included by others":      {"good/debian-sshd", "common-auth", "", "is included by other, sshd, which"},
		"the SFTP server's":       {"good/debian-sshd", "otpgate-sftpd", "@include common-auth\n", "asks for the code itself"},
	} {
		t.Run(name, func(t *testing.T) {
			in := tree(t, test.setup)
			if test.stack != "" {
				put(t, in.Root+"/etc/pam.d/"+test.service, test.stack)
			}
			if _, err := Plan(in, config.Default(), test.service, plain); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("expected an error with %q, found %v", test.want, err)
			}
		})
	}
}

// The distribution's own file stays as it is: a copy of it gets the line.
func TestPlanCopiesTheDistributions(t *testing.T) {
	in := tree(t, "good/debian-sshd")
	put(t, in.Root+"/usr/lib/pam.d/cockpit", "@include common-auth\n")
	edit, err := Plan(in, config.Default(), "cockpit", plain)
	if err != nil {
		t.Fatal(err)
	}
	if edit.Path != "/etc/pam.d/cockpit" || edit.From != "/usr/lib/pam.d/cockpit" || edit.After != edit.Before+"auth required pam_otpgate.so\n" {
		t.Errorf("found %+v", edit)
	}
	if diff := edit.Diff(); !strings.HasPrefix(diff, "--- /usr/lib/pam.d/cockpit\n+++ /etc/pam.d/cockpit\n") {
		t.Errorf("found\n%s", diff)
	}
}

// What is written and how its last line ends makes no difference to Remove.
func TestRemoveIsExact(t *testing.T) {
	for _, before := range []string{
		"@include common-auth", "@include common-auth\n", "@include common-auth\n\n\n", "# a\n@include \\\n  common-auth\n\n# b",
		"@include common-auth\r\naccount required pam_permit.so\r\n",
	} {
		in := tree(t, "good/debian-sshd")
		put(t, in.Root+"/etc/pam.d/sshd", before)
		for _, behind := range pamstack.Statements(before)[:1] {
			expectUndone(t, in, Edit{Service: "sshd", Path: "/etc/pam.d/sshd", Before: before, After: insert(before, behind.Last, plain.text())})
		}
	}
	continued := "@include common-auth\nauth required \\\n  pam_otpgate.so \\\n  debug\naccount required pam_permit.so\n"
	if got := without(continued); got != "@include common-auth\naccount required pam_permit.so\n" {
		t.Errorf("a line over three lines: %q is left", got)
	}
}

// Where jumps count the line, or lead to it, one stays in its place: without it
// they would go over a password module, or past the end.
func TestRemoveKeepsJumps(t *testing.T) {
	const instead = "pam_permit.so # instead of otpgate: lines above count this one\n"
	for before, after := range map[string]string{
		"auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_otpgate.so\n":                                                         "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required " + instead,
		"auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_otpgate.so\nauth optional pam_cap.so\n":                               "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required " + instead + "auth optional pam_cap.so\n",
		"auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_otpgate.so\nauth required pam_permit.so\n":                            "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
		"auth [success=1 default=ignore] pam_access.so\nauth [success=ok default=bad] \\\n  pam_otpgate.so\nauth required pam_unix.so":                                    "auth [success=1 default=ignore] pam_access.so\nauth [success=ok default=bad] " + instead + "auth required pam_unix.so",
		"auth [success=1 default=ignore] pam_access.so\nauth required pam_env.so\nauth required pam_env.so\nauth required pam_otpgate.so\nauth required pam_unix.so\n":    "auth [success=1 default=ignore] pam_access.so\nauth required pam_env.so\nauth required pam_env.so\nauth required pam_unix.so\n",
		"auth required pam_otpgate.so split\nauth requisite pam_unix.so nullok\tuse_first_pass\nauth required pam_ldap.so use_first_pass\nauth required pam_otpgate.so\n": "auth requisite pam_unix.so nullok\nauth required pam_ldap.so use_first_pass\n",
		"account [success=1 default=ignore] pam_access.so\nauth required pam_unix.so\nauth required pam_otpgate.so\nauth required pam_env.so\n":                           "account [success=1 default=ignore] pam_access.so\nauth required pam_unix.so\nauth required pam_env.so\n",
	} {
		in := tree(t, "good/debian-sshd")
		put(t, in.Root+"/etc/pam.d/sshd", before)
		edit, err := Remove(in, config.Default(), "sshd")
		if err != nil || edit.After != after {
			t.Errorf("%s\nexpected\n%s\nfound %v\n%s", before, after, err, edit.After)
		}
	}
}

// Taking the code out must not open a door that has no other lock.
func TestRemoveOpensNothing(t *testing.T) {
	in := tree(t, "good/debian-sshd")
	put(t, in.Root+"/etc/pam.d/sshd", "auth required pam_otpgate.so\nauth required pam_permit.so\n")
	if _, err := Remove(in, config.Default(), "sshd"); err == nil || !strings.Contains(err.Error(), "with nothing at all") {
		t.Errorf("expected a refusal, found %v", err)
	}
	put(t, in.Root+"/etc/pam.d/common-auth", "auth required pam_unix.so\nauth required pam_otpgate.so\n")
	put(t, in.Root+"/etc/pam.d/sshd", "@include common-auth\n")
	if _, err := Remove(in, config.Default(), "sshd"); err == nil || !strings.Contains(err.Error(), "/etc/pam.d/common-auth:2") {
		t.Errorf("expected to be told where the line is, found %v", err)
	}
}

// patch(1) makes the one file of the other by the diff.
func TestDiffIsAPatch(t *testing.T) {
	for _, edit := range []Edit{
		{Before: "a\nb\nc\n", After: "a\nx\nb\nc\n"},
		{Before: strings.Repeat("l\n", 20) + "m\n" + strings.Repeat("n\n", 20), After: "0\n" + strings.Repeat("l\n", 20) + strings.Repeat("n\n", 20) + "o\n"},
		{Before: "a\nb", After: "a\nx\nb"},
		{Before: "a\nb", After: "a\nb\nx\n"},
	} {
		file := filepath.Join(t.TempDir(), "file")
		put(t, file, edit.Before)
		cmd := exec.Command("patch", "-s", file)
		cmd.Stdin = strings.NewReader(edit.Diff())
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("patch: %v: %s\n%s", err, output, edit.Diff())
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != edit.After {
			t.Errorf("%v: found\n%s\nexpected\n%s", err, got, edit.After)
		}
	}
}
