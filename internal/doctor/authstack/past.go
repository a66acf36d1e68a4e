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
	past := func(p path) bool { return p.in() && !p.check }
	right := only(s.paths(Outcome{Password: true}), path.in)
	missed := only(right, past)
	if len(missed) == 0 {
		return nil
	}
	bare := only(s.paths(Outcome{}), past)
	check := s.Checks[len(s.Checks)-1]
	_, asked := has(right, func(p path) bool { return p.check })
	if step, byCondition := s.blame(missed, check); !asked || !byCondition {
		return []finding.Finding{s.line(check, finding.Finding{Severity: finding.Error, ID: "code-never-asked",
			What:    "This line is not reached: " + s.tell(step) + "." + s.saidOf(step),
			Follows: s.whoGetsBy(step, asked, bare, check),
			Fix:     capital(s.mend(step, check))})}
	}
	return s.conditions(missed, bare, check)
}

// conditions is about each line that leads some people past the check.
func (s Stack) conditions(missed, bare []path, check int) (found []finding.Finding) {
	told := map[int]bool{}
	for _, p := range missed {
		step, led := p.culprit(check)
		if !led || told[step.Line] {
			continue
		}
		told[step.Line] = true
		f := s.line(check, finding.Finding{Severity: finding.Warning, ID: "code-can-be-skipped",
			What:    "This line is not reached if " + s.Lines[step.Line].Name() + " says so: " + s.tell(step) + ".",
			Follows: "Who gets in that way needs the password and no code.",
			Fix:     "If that is not meant: " + s.mend(step, check)})
		if said := s.saidOf(step); said != "" {
			f.Severity, f.What = finding.Error, f.What+said
			f.Follows = "All of them get in with the password and no code."
		}
		if _, found := has(bare, func(p path) bool { return p.blames(step.Line, check) }); found {
			f.Follows = "Who gets in that way needs neither password nor code."
		}
		found = append(found, f)
	}
	return found
}

// whoGetsBy says who gets in past the check, and with what, where no condition
// decides that.
func (s Stack) whoGetsBy(step pamstack.Step, asked bool, bare []path, check int) string {
	bareStep, byCondition := s.blame(bare, check)
	const never = "The code is never asked; everybody gets in with the password alone"
	switch {
	case len(bare) > 0 && !byCondition:
		return "Neither password nor code is needed: everybody gets in with nothing."
	case asked:
		return "The code is not asked of those to whom " + s.Lines[step.Line].Name() + " says yes: they get in with the password alone."
	case len(bare) > 0:
		return never + ", and those to whom " + s.Lines[bareStep.Line].Name() + " says yes without it."
	}
	return never + "."
}

// saidOf is what there is to be said of a yes that most people get.
func (s Stack) saidOf(step pamstack.Step) string {
	if said := s.answers[step.Line].said; said != "" && step.Return == pamstack.Success {
		return " " + said
	}
	return ""
}

// blame is the step that leads past the check. One that hangs on a condition,
// such as who the user is, is blamed only if no other does.
func (s Stack) blame(missed []path, check int) (blamed pamstack.Step, byCondition bool) {
	kinds := s.kinds()
	byCondition = true
	for _, p := range missed {
		step, led := p.culprit(check)
		if led && byCondition {
			blamed, byCondition = step, kinds[step.Line] == conditional
		}
	}
	return blamed, byCondition
}

// blames says whether it is that line which led past the check.
func (p path) blames(line, check int) bool {
	step, led := p.culprit(check)
	return led && step.Line == line
}

// tell says what a step did.
func (s Stack) tell(step pamstack.Step) string {
	line := s.Lines[step.Line]
	where := fmt.Sprintf("%s (%s, %s)", line.Name(), bracketed(line.Control), line.Position)
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
