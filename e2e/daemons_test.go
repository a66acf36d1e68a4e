package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// An sshd that somebody has started, with a file of its own, is seen while it runs,
// whatever the machine's own sshd has: the doctor says of it what a login finds.
func TestDoctorSeesRunningSSHD(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"asks":     hosts.WithCode,
		"does-not": {"PasswordAuthentication yes", "KbdInteractiveAuthentication no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, "daemon-"+name, "")
			here.AddToService(t, "sshd", here.Name, "protocol=ssh")
			p := machine.NewPerson(t, "dae").Enroll(t, here.Users)
			sshd := hosts.StartSSHD(t, here.Name, lines...)
			args := []string{"--config=" + here.Config, "doctor", "--service=" + here.Name, "--ignore=clock-unsynchronised"}
			if name == "asks" {
				expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0))), 1)
				if said := otpctl(t, 0, args...); strings.Contains(said, "sshd") {
					t.Errorf("it asks, and the doctor says\n%s", said)
				}
				return
			}
			if d := sshd.Login(t, p, answers(p, p.Code(t, 0))); d.In(p) || d.Codes > 0 {
				t.Errorf("expected nothing to be asked and nobody in, found\n%s", d.Transcript)
			}
			said := otpctl(t, 4, args...)
			for _, want := range []string{"id:       sshd-kbdint-off", fmt.Sprintf("process %d, -f ", sshd.PID()), fmt.Sprintf("port %d", sshd.Port)} {
				if !strings.Contains(said, want) {
					t.Errorf("expected %q, found\n%s", want, said)
				}
			}
		})
	}
}
