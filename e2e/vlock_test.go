package e2e

import (
	"os/exec"
	"regexp"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// vlock can ask, so that its service has one line behind the password. Whoever does
// not know the password is asked for root's, which unlocks too: with a code only
// where root has to give one.
func TestVlock(t *testing.T) {
	onBothPaths(t, "vlock", "", func(t *testing.T, here machine.Site) {
		machine.WriteService(t, "vlock", debianPassword+"\n"+here.Line("protocol=login")+"\n@include common-account\n")
		p := machine.NewPerson(t, "vlo").Enroll(t, here.Users)
		unlock := func(given machine.Answers) machine.Dialogue {
			t.Helper()
			terminal := machine.Open(t, p.As(exec.Command("/bin/sh", "-c", "vlock && "+machine.Greet)))
			if locked, err := terminal.Await(0, regexp.MustCompile(`press \[ENTER\] to unlock`), machine.Patience); err != nil || locked == nil {
				t.Fatalf("expected the lock, found %v\n%s", err, terminal.Output(0))
			}
			machine.Until(t, "vlock waits for the return key", terminal.Waits)
			must(t, terminal.Send("\r"))
			return terminal.Answer(given, machine.Patience)
		}
		code, wrong := p.Code(t, 0), p.Wrong(t)
		expectOut(t, p, unlock(answers(p, wrong, wrong, wrong)), 3)
		expectOut(t, p, unlock(machine.Answers{Passwords: []string{"not-" + p.Password}}), 0)
		expectIn(t, p, unlock(answers(p, code)), 1)
		expectAudit(t, p, "service=vlock", "protocol=login", "verdict=accepted")
		expectOut(t, p, unlock(answers(p, code, code, code)), 3)
		otpctl(t, 0, "--config="+here.Config, "doctor", "--service=vlock", "--ignore=clock-unsynchronised", "--ignore=state-volatile")

		root := machine.WithoutUser("root")
		root.Name, root.Password = "root", givePassword(t)
		byRoot := machine.Answers{Passwords: []string{"not-" + p.Password, root.Password}}
		expectIn(t, p, unlock(byRoot), 0)
		root.Enroll(t, here.Users)
		byRoot.Codes = []string{root.Wrong(t), root.Code(t, 0)}
		expectIn(t, p, unlock(byRoot), 2)
	})
}
