package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// pkexec and run0 have polkit's helper run PAM, by the service polkit-1: with
// the line it asks for a code, and without it the password is all.
func TestPolkit(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "polkit", "")
	p := machine.NewPerson(t, "pol").Enroll(t, here.Users)
	helper := func(answers ...string) string {
		t.Helper()
		cmd := exec.Command("/usr/lib/polkit-1/polkit-agent-helper-1", p.Name)
		cmd.Stdin = strings.NewReader(strings.Join(append([]string{"cookie"}, answers...), "\n") + "\n")
		// No bus is there to tell of the outcome, so it ends with a failure.
		said, _ := cmd.Output()
		return string(said)
	}
	const prompt = "Verification code"
	if said := helper(p.Password); !strings.Contains(said, "Password") || strings.Contains(said, prompt) {
		t.Errorf("the distribution's file: expected the password to be asked alone, found %q", said)
	}
	vendor, err := os.ReadFile("/usr/lib/pam.d/polkit-1")
	if err != nil {
		t.Fatal(err)
	}
	include := "@include common-auth\n"
	t.Cleanup(func() { must(t, os.Remove("/etc/pam.d/polkit-1")) })
	machine.WriteService(t, "polkit-1", strings.Replace(string(vendor), include, include+here.Line()+"\n", 1))
	if said := helper(p.Password, p.Code(t, 0)); !strings.Contains(said, prompt) {
		t.Errorf("a copy with the line: expected a code to be asked for, found %q", said)
	}
	expectAudit(t, p, "service=polkit-1", "protocol=sudo", "verdict=accepted")
	if said := helper(p.Password, p.Wrong(t), p.Wrong(t), p.Wrong(t)); !strings.Contains(said, "FAILURE") {
		t.Errorf("wrong codes: expected a failure, found %q", said)
	}
}
