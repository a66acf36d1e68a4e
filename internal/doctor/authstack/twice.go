package authstack

import (
	"fmt"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// twice finds stacks that ask the same person for two codes.
func (s Stack) twice() []finding.Finding {
	for _, p := range s.paths(Outcome{Password: true}) {
		var asked []int
		for _, step := range p.Steps {
			if line := s.Lines[step.Line]; Ours(line) && !line.Has("split") {
				asked = append(asked, step.Line)
			}
		}
		if len(asked) > 1 && p.in() {
			return []finding.Finding{s.line(asked[1], finding.Finding{Severity: finding.Warning, ID: "asked-twice",
				What:    fmt.Sprintf("This line asks for a code again, behind the one at %s.", s.Lines[asked[0]].Position),
				Follows: "A code is good once: people must wait for the next one at each login, and with a server of one field nobody who needs a code gets in.",
				Fix:     "Take one of the two lines out."})}
		}
	}
	return s.anotherModule()
}

// anotherModule finds the line of a module that people were to move over from.
func (s Stack) anotherModule() []finding.Finding {
	for i, line := range s.Lines {
		if name := short(line); len(s.Ours()) > 0 && (name == "google_authenticator" || name == "oath") {
			f := finding.Finding{Severity: finding.Note, ID: "another-module",
				What:    line.Name() + " asks for a code in this stack too.",
				Follows: "Who is enrolled in both is asked for two codes, and otpgate does not see which ones the other takes.",
				Fix:     "When people are imported, take this line out: docs/moving-over.md. If both are meant, leave it."}
			unknown := pamstack.AuthErr // what it says of whom it does not know
			if name == "oath" {
				unknown = pamstack.UserUnknown
			}
			if deny := line.Actions[unknown]; (deny == pamstack.Bad || deny == pamstack.Die) && !line.Has("nullok") {
				f.Severity = finding.Warning
				f.Follows += " Who is not enrolled there is denied, whatever otpgate says."
			}
			return []finding.Finding{s.line(i, f)}
		}
	}
	return nil
}
