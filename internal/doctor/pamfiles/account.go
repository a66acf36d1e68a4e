package pamfiles

import (
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// account looks at the stage behind the code. What it says of one person is that
// module's to say; here are lines that deny everybody, or check nobody.
func (e *Exam) account(s authstack.Stack) {
	lines := s.Stack.Lines(pamstack.Account)
	own := slices.ContainsFunc(s.Own(), func(line pamstack.Line) bool { return line.Type == pamstack.Account })
	returned := func(i int) pamstack.Return {
		switch {
		case e.Gone(lines[i]):
			return pamstack.ModuleUnknown
		case lines[i].Name() == denies:
			return pamstack.PermDenied
		}
		return pamstack.Success
	}
	f := finding.Finding{Services: []string{s.Service}, File: s.File, What: "It has no line of the type account, so those of the service other count",
		Fix: "Add: account required pam_unix.so"}
	if own {
		f.What = "Its lines of the type account deny"
	}
	result := pamstack.Walk(lines, returned)
	switch {
	case result.Return != pamstack.Success:
		f.Severity, f.ID = finding.Error, "account-denies"
		f.What += why(lines, result) + "."
		f.Follows = "Everybody is denied behind the right password and the right code."
		if own {
			f.Fix = "Correct that line, or take it out."
		}
	case !own && !slices.ContainsFunc(lines, func(line pamstack.Line) bool { return line.Name() != permits }):
		f.Severity, f.ID = finding.Warning, "account-unchecked"
		f.What += ", and they let everybody pass."
		f.Follows = "Accounts that are locked or have run out get in with the code all the same."
	default:
		return
	}
	e.add(f)
}

const denies, permits = "pam_deny.so", "pam_permit.so"

// why names the line that denies.
func why(lines []pamstack.Line, result pamstack.Result) string {
	for _, step := range result.Steps {
		if step.Action == pamstack.Bad || step.Action == pamstack.Die {
			return ": " + lines[step.Line].Name() + " at " + lines[step.Line].Position.String() + " returns " + step.Return.String()
		}
	}
	return ": there is none that says yes"
}
