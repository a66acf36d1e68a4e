package e2e

import (
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// Somebody who knows the password and goes away at the prompt for a code
// leaves a line in the log, with and without a wrong code before.
func TestAbandonedPrompt(t *testing.T) {
	onAllPaths(t, "abandoned", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		sshd := startSSHD(t, here)
		for name, guesses := range map[string]int{"at once": 0, "after a wrong code": 1} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := machine.NewPerson(t, "abe").Enroll(t, here.Users)
				given := answers(p)
				for range guesses {
					given.Codes = append(given.Codes, p.Wrong(t))
				}
				given.Codes = append(given.Codes, "\x03")
				expectOut(t, p, sshd.Login(t, p, given), guesses+1)
				expectAudit(t, p, "verdict=denied", "rule=no-answer")
			})
		}
	})
}
