package packages_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pamOut runs the script on a pam.d of those files.
func pamOut(t *testing.T, awk string, files map[string]string) (root, output string, err error) {
	t.Helper()
	for _, script := range []string{"pam-out", "pam-out.awk"} {
		// So that go test learns of a change.
		if _, err := os.ReadFile(script); err != nil {
			t.Fatal(err)
		}
	}
	root = t.TempDir()
	if err := os.MkdirAll(root+"/etc/pam.d", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, "etc/pam.d", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Debian's awk is mawk, RHEL's is gawk.
	bin := t.TempDir()
	path, err := exec.LookPath(awk)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, bin+"/awk"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("./pam-out", root)
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
	said, err := cmd.CombinedOutput()
	return root, string(said), err
}

const line = "auth required pam_otpgate.so\n"

func TestPamOut(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"behind an include":   {"# sshd\n@include common-auth\n" + line + "\naccount required pam_unix.so\n", "# sshd\n@include common-auth\n\naccount required pam_unix.so\n"},
		"a path and options":  {"auth required pam_unix.so\nauth  required\t/usr/lib64/security/pam_otpgate.so protocol=ssh # ours\n", "auth required pam_unix.so\n"},
		"control in brackets": {"auth required pam_unix.so\nauth [success=ok default=bad] pam_otpgate.so\n", "auth required pam_unix.so\n"},
		"a dash, capitals":    {"auth required pam_unix.so\n-AUTH required pam_otpgate.so\n", "auth required pam_unix.so\n"},
		"over several lines":  {"auth required pam_unix.so\nauth \\\n required \\\n pam_otpgate.so \\\n debug\nsession required pam_unix.so\n", "auth required pam_unix.so\nsession required pam_unix.so\n"},
		"no end of line":      {"auth required pam_unix.so\nauth required pam_otpgate.so", "auth required pam_unix.so\n"},
		"other lines as they are": {"auth required pam_unix.so\n" + line + "auth \\\n  optional pam_cap.so # x \\\n\n\tsession required [a=1] # pam_otpgate.so\n",
			"auth required pam_unix.so\nauth \\\n  optional pam_cap.so # x \\\n\n\tsession required [a=1] # pam_otpgate.so\n"},
		"jumped over": {"auth required pam_unix.so\nauth [success=1 default=ignore] pam_access.so\n" + line + "auth required pam_faildelay.so\n",
			"auth required pam_unix.so\nauth [success=1 default=ignore] pam_access.so\nauth required pam_permit.so # instead of otpgate: lines above count this one\nauth required pam_faildelay.so\n"},
		"jumped to": {"auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n" + line,
			"auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so # instead of otpgate: lines above count this one\n"},
		"jumps of another type": {"account [success=1 default=ignore] pam_unix.so\nauth required pam_unix.so\n" + line, "account [success=1 default=ignore] pam_unix.so\nauth required pam_unix.so\n"},
		"split": {"auth required pam_otpgate.so split\nauth requisite pam_unix.so use_first_pass\nauth required pam_ldap.so use_first_pass\n" + line,
			"auth requisite pam_unix.so\nauth required pam_ldap.so use_first_pass\n"},
		"split around an include": {"auth required pam_otpgate.so split\n@include common-auth\n" + line, "@include common-auth\n"},
	} {
		for _, awk := range []string{"mawk", "gawk"} {
			t.Run(name+" by "+awk, func(t *testing.T) {
				root, output, err := pamOut(t, awk, map[string]string{"x": c.before, "common-auth": "auth required pam_unix.so\n", "other": "auth required pam_deny.so\n"})
				if err != nil {
					t.Fatalf("%v: %s", err, output)
				}
				if text, err := os.ReadFile(root + "/etc/pam.d/x"); err != nil || string(text) != c.after {
					t.Errorf("expected\n%s\nfound %v\n%s", c.after, err, text)
				}
				kept, err := filepath.Glob(root + "/var/backups/otpgate/pam.d-*/*")
				if err != nil || len(kept) != 1 {
					t.Fatalf("expected one file kept, found %q, %v", kept, err)
				}
				if text, err := os.ReadFile(kept[0]); err != nil || string(text) != c.before || !strings.Contains(output, kept[0]) {
					t.Errorf("kept %q, %v; said %q", text, err, output)
				}
			})
		}
	}
}

// What would be open without the line is named, and nothing is touched.
func TestPamOutRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		open  []string // none: it does not refuse
	}{
		"alone":          {map[string]string{"x": line + "auth required pam_permit.so\n", "y": "@include common-auth\n" + line}, []string{"x"}},
		"or a password":  {map[string]string{"x": "auth sufficient pam_unix.so\n" + line + "auth required pam_permit.so\n"}, []string{"x"}},
		"or a jump":      {map[string]string{"x": "auth [success=1 default=ignore] pam_unix.so\n" + line + "auth required pam_permit.so\n"}, []string{"x"}},
		"or a deny":      {map[string]string{"x": "auth sufficient pam_unix.so\nauth required pam_deny.so\n" + line}, nil},
		"or a bad":       {map[string]string{"x": "auth [success=1 default=bad] pam_unix.so\nauth [default=die] pam_faillock.so authfail\n" + line}, nil},
		"with no sense":  {map[string]string{"x": "auth required pam_env.so\nauth required pam_nologin.so\n" + line}, []string{"x"}},
		"password later": {map[string]string{"x": line + "password required pam_unix.so\naccount include common-auth\n"}, []string{"x"}},
		"included":       {map[string]string{"x": "auth include codes\n", "y": "auth required pam_unix.so\nauth include codes\n", "codes": line + "auth required pam_permit.so\n"}, []string{"x"}},
		"include of an include": {map[string]string{"x": "auth include y\n", "y": "@include codes\n", "codes": line + "auth required pam_permit.so\n"},
			[]string{"x"}},
		"postlogin": {map[string]string{"sshd": "auth substack common-auth\nauth include postlogin\n", "postlogin": line}, nil},
	} {
		for _, awk := range []string{"mawk", "gawk"} {
			t.Run(name+" by "+awk, func(t *testing.T) {
				c.files["common-auth"] = "auth required pam_unix.so\n"
				root, output, err := pamOut(t, awk, c.files)
				if refused := err != nil; refused != (c.open != nil) {
					t.Fatalf("expected it to refuse: %v, found %v: %s", c.open != nil, err, output)
				}
				for file, text := range c.files {
					if found, err := os.ReadFile(root + "/etc/pam.d/" + file); c.open != nil && (err != nil || string(found) != text) {
						t.Errorf("%s was changed: %q, %v", file, found, err)
					}
				}
				var named []string
				for text := range strings.Lines(output) {
					if file, found := strings.CutPrefix(text, "  "); found {
						named = append(named, filepath.Base(strings.TrimSpace(file)))
					}
				}
				want := map[string]bool{}
				for _, file := range c.open {
					want[file] = true
				}
				if len(named) != len(want) {
					t.Errorf("expected %q to be named, found %q", c.open, named)
				}
				for _, file := range named {
					if !want[file] {
						t.Errorf("expected %q to be named, found %q", c.open, named)
					}
				}
			})
		}
	}
}

// A line in a file elsewhere, which a service includes by its path, is seen and
// not left behind: without the module it would deny everybody.
func TestPamOutLooksElsewhere(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "codes")
	if err := os.WriteFile(outside, []byte("auth required pam_unix.so\n"+line), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, include := range []string{"auth include ", "auth  substack\t", "@include "} {
		text := "auth required pam_unix.so\n" + include + outside + "\n"
		for _, more := range []string{"", line} {
			root, output, err := pamOut(t, "mawk", map[string]string{"x": text + more})
			if err == nil || !strings.Contains(output, outside) {
				t.Errorf("%s: %v: %s", include, err, output)
			}
			if found, err := os.ReadFile(root + "/etc/pam.d/x"); err != nil || string(found) != text+more {
				t.Errorf("%s: changed: %q %v", include, found, err)
			}
		}
	}
	if _, output, err := pamOut(t, "mawk", map[string]string{"x": "auth required pam_unix.so\n# auth include " + outside + "\n" + line}); err != nil {
		t.Errorf("a comment: %v: %s", err, output)
	}
}

// authselect's files are links, which must stay links. What otpctl pam kept beside
// a file goes to where the other copies are.
func TestPamOutWritesThroughLinks(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"/etc/pam.d", "/etc/authselect"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	target := root + "/etc/authselect/password-auth"
	if err := os.WriteFile(target, []byte("auth required pam_unix.so\n"+line), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, root+"/etc/pam.d/password-auth"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/etc/pam.d/x.before-otpgate-20261122T120000Z", []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, root+"/etc/pam.d/password-auth-too"); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("./pam-out", root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if left, err := filepath.Glob(root + "/etc/pam.d/*before*"); err != nil || len(left) > 0 {
		t.Errorf("left in pam.d: %q, %v", left, err)
	}
	kept, err := filepath.Glob(root + "/var/backups/otpgate/*/password-auth")
	if err != nil || len(kept) != 1 {
		t.Fatalf("expected the file to be kept, found %q, %v", kept, err)
	}
	if text, err := os.ReadFile(kept[0]); err != nil || !strings.HasSuffix(string(text), line) {
		t.Errorf("kept %q, %v", text, err)
	}
	text, err := os.ReadFile(target)
	info, statErr := os.Stat(target)
	if err != nil || statErr != nil || string(text) != "auth required pam_unix.so\n" || info.Mode().Perm() != 0o640 {
		t.Errorf("found %q, %v, %v", text, err, info)
	}
	if link, err := os.Readlink(root + "/etc/pam.d/password-auth"); err != nil || link != target {
		t.Errorf("expected the link to stay, found %q, %v", link, err)
	}
}
