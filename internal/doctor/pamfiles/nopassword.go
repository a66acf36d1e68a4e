package pamfiles

import (
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// nothingBefore are services whose programs have nothing but PAM. Others may have
// asked for a key, a certificate or a password of their own.
var nothingBefore = []string{"sudo", "sudo-i", "su", "su-l", "login", "remote", "doas", "polkit-1", "systemd-run0", "gdm-password"}

// noPassword finds stacks that ask for the code and nothing else.
func (e *Exam) noPassword(s authstack.Stack) {
	if len(s.Checks) == 0 || !s.AsksNothingElse() || !slices.Contains(nothingBefore, s.Service) {
		return
	}
	f := finding.At(s.Lines[s.Checks[0]].Position, finding.Finding{Severity: finding.Error, ID: "code-alone", Services: []string{s.Service},
		What:    "No line of the stack asks for a password.",
		Follows: "Who is enrolled gets in with the code alone, and who is not asked for one with nothing at all.",
		Fix:     "Put the line that includes the password modules back, before this one."})
	if !s.LetsIn(authstack.Outcome{Code: authstack.NotAsked}) {
		f.Severity, f.Follows = finding.Warning, "Who is enrolled gets in with the code alone."
	}
	e.add(f)
}
