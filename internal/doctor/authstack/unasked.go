package authstack

import (
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// NobodyWithoutCode is the id of what is nothing where the policy asks everybody.
const NobodyWithoutCode = "nobody-without-code"

// letsUnasked finds stacks that deny people whom the policy does not ask.
func (s Stack) letsUnasked(check int) []finding.Finding {
	unasked := s.paths(Outcome{Password: true, Code: NotAsked})
	if _, in := has(unasked, path.in); in {
		return s.deniesSomeUnasked(unasked)
	}
	if s.AsksPassword() && (s.Lines[check].Problem != "" || s.LetsIn(Outcome{})) {
		return nil // or there is worse, whose fix mends that too
	}
	f := s.line(check, finding.Finding{Severity: finding.Warning, ID: NobodyWithoutCode,
		What:    "For people whom the policy does not ask no line of the stack says yes.",
		Follows: "They are denied.",
		Fix:     "If they are to get in, add behind this line: auth required pam_permit.so"})
	if at := unasked[0].denial(); at >= 0 {
		f.What = "People whom the policy does not ask are denied with the right password too: " + s.whyDenied(unasked) + "."
		f.Fix = "If they are to get in, write: auth required " + ModuleName
		if at != check {
			f.Fix += ", and take out the line " + s.Lines[at].Position.String() + "."
		}
	}
	return []finding.Finding{f}
}

// deniesSomeUnasked is deniesSome for people whom the policy does not ask.
func (s Stack) deniesSomeUnasked(unasked []path) []finding.Finding {
	i, taken := s.denied(unasked)
	if len(taken) == 0 {
		return nil
	}
	f := s.line(i, finding.Finding{Severity: finding.Warning, ID: NobodyWithoutCode,
		What:    "People whom the policy does not ask are denied if " + s.Lines[i].Name() + " takes their password: " + s.whyDenied(taken) + ".",
		Follows: "They do not get in through " + s.Service + ", and who is asked for a code does.",
		Fix:     "Count the jump of this line anew, so that it ends at auth required pam_permit.so."})
	if !slices.ContainsFunc(s.Lines, func(line pamstack.Line) bool { return kindOf(line) == permits }) {
		f.Fix = "Add behind our line: auth required pam_permit.so"
	}
	return []finding.Finding{f}
}
