package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// expectAs fails t unless p is in, under the first name of the uid as id(1) gives
// it, after that many prompts.
func expectAs(t *testing.T, p, first *machine.Person, d machine.Dialogue, codes int) {
	t.Helper()
	if !d.In(first) || d.Codes != codes {
		t.Errorf("expected %s in as %s after %d prompts for a code, found status %d after %d:\n%s\n%s",
			p.Name, first.Name, codes, d.Status, d.Codes, d.Transcript, machine.Text(machine.Log.Lines("otpgate", "user="+p.Name+" ")))
	}
}

// Whoever has several login names is asked by each of them, whichever is enrolled,
// and a code is good for one login of all.
func TestSSHOtherNames(t *testing.T) {
	onAllPaths(t, "othernames", "[totp]\nwindow = 3\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here)
		for _, enrolled := range []string{"first", "second", "neither"} {
			t.Run(enrolled+" is enrolled", func(t *testing.T) {
				t.Parallel()
				first := machine.NewPerson(t, "one")
				second := first.OtherName(t)
				third := first.OtherName(t)
				codes, rule := 1, "rule=totp:"
				switch enrolled {
				case "first":
					first.Enroll(t, here.Users)
				case "second":
					second.Enroll(t, here.Users)
				default:
					codes, rule = 0, "rule=not-enrolled"
				}
				for i, p := range []*machine.Person{first, second, third} {
					p.Period = max(first.Period, second.Period)
					code := first.Code(t, i-1)
					expectAs(t, p, first, sshd.Login(t, p, answers(p, code)), codes)
					expectDecided(t, here, p, rule)
					for _, again := range []*machine.Person{first, second, third} {
						if codes > 0 {
							expectOut(t, again, sshd.Login(t, again, answers(again, code)), 2)
						}
					}
				}
			})
		}
	})
}

// After usermod -l a rename takes the devices along, and a code of before is not
// good again.
func TestSSHRenamed(t *testing.T) {
	onBothPaths(t, "renamed", "[totp]\nwindow = 3\n[policy]\nrequire = [\"@all\"]\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here)
		p := machine.NewPerson(t, "old").Enroll(t, here.Users)
		used := p.Code(t, 0)
		expectIn(t, p, sshd.Login(t, p, answers(p, used)), 1)
		former := p.Rename(t, "new"+strings.TrimPrefix(p.Name, "old"))
		expectOut(t, p, sshd.Login(t, p, answers(p, used)), 0)
		out, err := exec.Command(machine.Files+"/otpctl", "--config", here.Config, "rename", former, p.Name).CombinedOutput()
		if err != nil || !strings.Contains(string(out), former+" is "+p.Name+" now") {
			t.Fatalf("otpctl rename: %v: %s", err, out)
		}
		expectOut(t, p, sshd.Login(t, p, answers(p, used)), 2)
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 1))), 1)
	})
}
