package authstack

import (
	"fmt"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// reached finds ways past the code.
func (s Stack) reached() []finding.Finding {
	if len(s.Checks) == 0 {
		return nil
	}
	right := only(s.paths(Outcome{Password: true}), path.in)
	missed := only(right, func(p path) bool { return !p.check })
	if len(missed) == 0 {
		return nil
	}
	check := s.Checks[len(s.Checks)-1]
	step, byCondition := s.blame(missed, check)
	f := s.line(check, finding.Finding{Severity: finding.Error, ID: "code-never-asked",
		What:    "This line is not reached: " + s.tell(step) + ".",
		Follows: "The code is never asked; everybody gets in with the password alone.",
		Fix:     s.fixFor(step, check)})
	if _, asked := has(right, func(p path) bool { return p.check }); asked && byCondition {
		f.ID, f.Severity = "code-can-be-skipped", finding.Warning
		f.What = "This line is not reached if " + s.Lines[step.Line].Name() + " says so: " + s.tell(step) + "."
		f.Follows = "Who gets in that way is not asked for a code."
		f.Fix = "If that is not meant: " + s.fixFor(step, check)
	}
	return []finding.Finding{f}
}

// blame is the step that leads past the check. One that hangs on a condition,
// such as who the user is, is blamed only if no other does.
func (s Stack) blame(missed []path, check int) (blamed pamstack.Step, byCondition bool) {
	kinds := kindsOf(s.Lines)
	byCondition = true
	for _, p := range missed {
		step, led := p.culprit(check)
		if led && byCondition {
			blamed, byCondition = step, kinds[step.Line] == conditional
		}
	}
	return blamed, byCondition
}

// tell says what a step did.
func (s Stack) tell(step pamstack.Step) string {
	line := s.Lines[step.Line]
	where := fmt.Sprintf("%s (%s, %s)", line.Name(), bracketed(line.Control), line.Place)
	switch {
	case step.Action > 0:
		return fmt.Sprintf("%s jumps over %s when it returns %s", where, finding.Count(int(step.Action), "line"), step.Return)
	case step.Action == pamstack.Done && line.Level == 0:
		return fmt.Sprintf("%s ends the stack when it returns %s", where, step.Return)
	case step.Action == pamstack.Done:
		return fmt.Sprintf("%s ends its substack when it returns %s", where, step.Return)
	}
	return fmt.Sprintf("%s returns %s", where, step.Return)
}

func (s Stack) fixFor(step pamstack.Step, check int) string {
	culprit, line := s.Lines[step.Line], s.Lines[check]
	if step.Action > 0 {
		fix := fmt.Sprintf("Count again: the jump at %s must end before this line, or this line must stand behind those that are jumped over.", culprit.Place)
		if culprit.File != s.File {
			fix += fmt.Sprintf(" At best it stands in %s, behind the line that includes %s.", s.File, culprit.File)
		}
		return fix
	}
	if len(culprit.Via) > len(line.Via) {
		via := culprit.Via[len(line.Via)]
		return fmt.Sprintf("Write substack instead of include at %s: what ends a substack does not end the stack around it.", via)
	}
	return fmt.Sprintf("Move this line before %s and have it come behind a line that stops wrong passwords, or write the control of %s as [success=1 default=ignore] with an auth requisite pam_deny.so behind it.", culprit.Place, culprit.Name())
}
