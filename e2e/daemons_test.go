package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// An sshd that somebody has started, with a file of its own, is seen while it runs,
// whatever the machine's own sshd has: the doctor says of it what a login finds.
// GROUP is one that whoever logs in is a member of, and NAME is who that is.
func TestDoctorSeesRunningSSHD(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lines []string
		wants []string // none if it asks
	}{
		"asks":     {hosts.WithCode, nil},
		"does-not": {[]string{"PasswordAuthentication yes", "KbdInteractiveAuthentication no"}, []string{"id:       sshd-kbdint-off"}},
		"members": {
			slices.Concat(hosts.WithCode, []string{"Match Group GROUP", "AuthenticationMethods password", "PasswordAuthentication yes"}),
			[]string{"id:       sshd-never-asks", "For Match Group GROUP", "such as NAME"},
		},
		"others": {
			slices.Concat(hosts.WithCode, []string{"Match Group *,!GROUP", "AuthenticationMethods publickey,keyboard-interactive:pam"}),
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, "daemon-"+name, "")
			here.AddToService(t, "sshd", here.Name, "protocol=ssh")
			p := machine.NewPerson(t, "dae").Enroll(t, here.Users)
			group := p.Name + "-group"
			machine.NewGroup(t, group)
			machine.JoinGroup(t, p.Name, group)
			named := strings.NewReplacer("GROUP", group, "NAME", p.Name)
			lines := strings.Split(named.Replace(strings.Join(test.lines, "\n")), "\n")
			sshd := hosts.StartSSHD(t, here.Name, lines...)
			args := []string{"--config=" + here.Config, "doctor", "--service=" + here.Name, "--ignore=clock-unsynchronised", "--ignore=state-volatile"}
			if test.wants == nil {
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
			for _, want := range append(test.wants, fmt.Sprintf("process %d, -f ", sshd.PID()), fmt.Sprintf("port %d", sshd.Port)) {
				if !strings.Contains(said, named.Replace(want)) {
					t.Errorf("expected %q, found\n%s", named.Replace(want), said)
				}
			}
		})
	}
}
