package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Where sudo asks somebody for nothing, or for another's password, the doctor says
// so, and where it asks for a code the doctor is silent: each with the real sudo.
// NAME is who uses it, GROUP a group of theirs.
func TestSudoUnasked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules     string
		asked     bool
		passwords int
	}{
		"asked":             {"NAME ALL=(ALL:ALL) ALL\n", true, 1},
		"nopasswd":          {"NAME ALL=(ALL:ALL) NOPASSWD: ALL\n", false, 0},
		"nopasswd-group":    {"%GROUP ALL=(ALL) NOPASSWD: ALL\n", false, 0},
		"nopasswd-shell":    {"NAME ALL=NOPASSWD: /usr/bin/id, /bin/sh\n", false, 0},
		"taken-back":        {"NAME ALL=(ALL) NOPASSWD: ALL\n%GROUP ALL=(ALL) PASSWD: ALL\n", true, 1},
		"not-taken-back":    {"%GROUP ALL=(ALL) ALL\nNAME ALL=(ALL) NOPASSWD: ALL\n", false, 0},
		"not-authenticated": {"Defaults:NAME !authenticate\n%GROUP ALL=(ALL) ALL\n", false, 0},
		"tag-before":        {"Defaults:NAME !authenticate\nNAME ALL=(ALL) PASSWD: ALL\n", true, 1},
		"exempt-group":      {"Defaults:NAME exempt_group=GROUP\nNAME ALL=(ALL) ALL\n", false, 0},
		"another-host":      {"NAME nowhere=(ALL) NOPASSWD: ALL\nNAME ALL=(ALL) ALL\n", true, 1},
		"another-user":      {"NAME ALL=(nobody) NOPASSWD: ALL\nNAME ALL=(root) ALL\n", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, "unasked-"+name, "")
			here.AddToService(t, "sudo", here.Name, "protocol=sudo")
			p := machine.NewPerson(t, "una").Enroll(t, here.Users)
			group := "of" + p.Name
			machine.NewGroup(t, group)
			machine.JoinGroup(t, p.Name, group)
			rules := strings.NewReplacer("NAME", p.Name, "GROUP", group).Replace(test.rules)
			writeRules(t, here, p, rules)
			given, codes := machine.Answers{}, 0
			if test.asked {
				given, codes = answers(p, p.Code(t, 0)), 1
			}
			d := sudo(t, here, p, nil, given)
			expectIn(t, p, d, codes)
			if d.Passwords != test.passwords {
				t.Errorf("expected %d prompts for a password, found %d:\n%s", test.passwords, d.Passwords, d.Transcript)
			}
			said := ofSudo(t, here, rules)
			if found := strings.Contains(said, "sudo-nopasswd"); found == test.asked {
				t.Errorf("expected a finding: %v, found %q", !test.asked, said)
			}
		})
	}
}

// By rootpw sudo asks for the password of root, who is asked for no code: that of
// whoever uses it is never asked for.
func TestSudoAsksForRoot(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "rootpw", "")
	here.AddToService(t, "sudo", here.Name, "protocol=sudo")
	p, password := machine.NewPerson(t, "rpw").Enroll(t, here.Users), givePassword(t)
	rules := "Defaults:" + p.Name + " rootpw\n" + p.Name + " ALL=(ALL) ALL\n"
	writeRules(t, here, p, rules)
	expectIn(t, p, sudo(t, here, p, nil, machine.Answers{Passwords: []string{password}}), 0)
	expectOut(t, p, sudo(t, here, p, nil, machine.Answers{Passwords: []string{p.Password, p.Password, p.Password}}), 0)
	if said := ofSudo(t, here, rules); !strings.Contains(said, "sudo-asks-for-root") || !strings.Contains(said, "who knows root's password") {
		t.Errorf("expected a finding, found %q", said)
	}
}

// writeRules has sudo ask the site's service by these rules.
func writeRules(t *testing.T, here machine.Site, p *machine.Person, rules string) {
	t.Helper()
	text := "Defaults:" + p.Name + " pam_service=" + here.Name + "\n" + rules
	if err := os.WriteFile("/etc/sudoers.d/"+here.Name, []byte(text), 0o440); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("visudo", "-c", "-q", "-f", "/etc/sudoers.d/"+here.Name).CombinedOutput(); err != nil {
		t.Fatalf("visudo: %v: %s", err, output)
	}
}

// ofSudo is what the doctor says of a machine with these rules whose sudo has the
// site's stack.
func ofSudo(t *testing.T, here machine.Site, rules string) string {
	t.Helper()
	root := t.TempDir()
	for from, to := range map[string]string{"/etc/pam.d/" + here.Name: "etc/pam.d/sudo", "/etc/passwd": "etc/passwd", "/etc/group": "etc/group", "": "etc/sudoers"} {
		text := []byte(rules)
		if from != "" {
			var err error
			if text, err = os.ReadFile(from); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	for _, f := range (doctor.Doctor{Machine: target.Machine{Root: root}, Services: []string{"sudo"}}).Examine(t.Context()) {
		said.WriteString(f.String())
	}
	return said.String()
}
