package packages_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// conditions of authselect's templates, see authselect-profiles(5): of a line,
// and within one.
var (
	ofLine   = regexp.MustCompile(`\s*\{include if "([^"]+)"\}`)
	withLine = regexp.MustCompile(`\{if (not )?"([^"]+)":([^|}]*)(?:\|([^}]*))?\}`)
)

// expand is the template with those features on.
func expand(template string, features ...string) string {
	var text strings.Builder
	for line := range strings.Lines(template) {
		if match := ofLine.FindStringSubmatch(line); match != nil && !slices.Contains(features, match[1]) {
			continue
		}
		line = ofLine.ReplaceAllString(line, "")
		text.WriteString(withLine.ReplaceAllStringFunc(line, func(condition string) string {
			match := withLine.FindStringSubmatch(condition)
			if slices.Contains(features, match[2]) != (match[1] != "") {
				return match[3]
			}
			return match[4]
		}))
	}
	return text.String()
}

// The password stage for authselect, expanded as authselect would and run by
// Debian's libpam, with a pam_sss that knows nobody: authselect is not here.
func TestAuthselectStack(t *testing.T) {
	t.Parallel()
	d := newDebian(t, bookworm, "2205")
	d.run(t, "dpkg", "-i", d.bring(t, built(t, "deb")))
	secret := d.enroll(t)
	template, err := os.ReadFile("authselect/stack")
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for _, features := range [][]string{{}, {"with-faillock"}, {"with-otpgate"}, {"with-otpgate", "with-faillock", "without-nullok"}} {
		name := strings.Join(append(features, "x"), "-")
		stack := strings.ReplaceAll(expand(string(template), features...), "pam_sss.so", "pam_deny.so")
		stack = strings.ReplaceAll(stack, " delay=2000000", " delay=0")
		if strings.Contains(stack, "{") {
			t.Fatalf("not understood:\n%s", stack)
		}
		// As RHEL's sshd and sudo have it.
		d.write(t, "/etc/pam.d/system-auth", stack)
		for _, how := range []string{"substack", "include"} {
			d.write(t, "/etc/pam.d/"+name, "auth "+how+" system-auth\nauth optional pam_cap.so\n")
			try := func(password, code string) machine.Dialogue {
				terminal := machine.Open(t, d.command("pamtester", name, alice.Name, "authenticate"))
				return terminal.Answer(machine.Answers{Passwords: []string{password}, Codes: []string{code, code, code}}, machine.Patience)
			}
			asked := 0
			if slices.Contains(features, "with-otpgate") {
				asked = 1
			}
			steps++
			d.run(t, "faillock", "--user", alice.Name, "--reset")
			if got := try(alice.Password, d.code(t, secret, steps)); got.Status != 0 || got.Codes != asked {
				t.Errorf("%s, %q: expected alice to be in after %d codes, found %+v\n%s", how, features, asked, got, stack)
			}
			if got := try(alice.Password, d.wrong(t, secret)); (got.Status == 0) != (asked == 0) {
				t.Errorf("%s, %q: wrong code: %+v", how, features, got)
			}
			if got := try("wrong", d.wrong(t, secret)); got.Status == 0 || got.Codes != 0 {
				t.Errorf("%s, %q: expected a wrong password to be refused without a code, found %+v", how, features, got)
			}
			if !slices.Contains(features, "with-faillock") {
				continue
			}
			try("wrong", d.wrong(t, secret))
			try("wrong", d.wrong(t, secret))
			if got := try(alice.Password, d.wrong(t, secret)); got.Status == 0 || got.Codes != 0 {
				t.Errorf("%s, %q: expected who is locked to be refused without a code, found %+v", how, features, got)
			}
		}
	}
}
