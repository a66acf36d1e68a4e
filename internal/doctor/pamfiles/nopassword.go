package pamfiles

import (
	"slices"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// ownFirst are the protocols whose servers may have asked for a key before.
var ownFirst = []config.Protocol{"ssh", "sftp"}

// noPassword finds stacks that ask for the code and nothing else.
func (e *Exam) noPassword(s authstack.Stack) {
	if len(s.Checks) == 0 || !s.AsksNothingElse() || slices.Contains(ownFirst, s.Protocol) {
		return
	}
	f := finding.At(s.Lines[s.Checks[0]].Place, finding.Finding{Severity: finding.Error, ID: "code-alone", Services: []string{s.Service},
		What:    "No line of the stack asks for a password.",
		Follows: "Who is enrolled gets in with the code alone, and who is not asked for one with nothing at all.",
		Fix:     "Put the line that includes the password modules back, before this one."})
	if !s.LetsIn(authstack.Outcome{Code: authstack.NotAsked}) {
		f.Severity, f.Follows = finding.Warning, "Who is enrolled gets in with the code alone."
	}
	e.add(f)
}
