package e2e

import (
	"fmt"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Debian's own PAM service with the module's bare line, and no configuration:
// logins fork a core until a verifier runs, then ask that, and do without it
// again when it is gone. A code that was given one way is used the other way.
func TestDefaults(t *testing.T) {
	t.Parallel()
	machine.AddToService(t, "sshd", "sshd")
	sshd := hosts.StartSSHD(t, "sshd", hosts.WithCode...)
	login := func(t *testing.T, by string) (again func()) {
		t.Helper()
		p := machine.NewPerson(t, "def").Enroll(t, machine.Users)
		code := p.Code(t, 0)
		expectIn(t, p, sshd.Login(t, p, answers(p, code)), 1)
		expectAudit(t, p, "service=sshd", "protocol=ssh", "remote="+p.Address, "verdict=accepted", "rule=totp:phone", by)
		return func() { expectOut(t, p, sshd.Login(t, p, answers(p, code, code, code)), 3) }
	}
	forked := login(t, "otpgate[")
	var resident func()
	t.Run("verifier", func(t *testing.T) {
		site := machine.Site{Name: "the defaults", Socket: "/run/otpgate/verifier.sock"}
		verifier := machine.StartVerifier(t, site, machine.VerifierOptions{Default: true})
		resident = login(t, fmt.Sprintf("otpgate[%d]", verifier.PID()))
		forked()
	})
	resident()
	login(t, "otpgate[")
}
