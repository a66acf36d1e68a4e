package authstack

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// mend says how the step of a line no longer leads past the check.
func (s Stack) mend(step pamstack.Step, check int) string {
	culprit := s.Lines[step.Line]
	takeOut := fmt.Sprintf("take the line %s out", culprit.Position)
	kind := s.kinds()[step.Line]
	switch {
	case s.answers[step.Line].fix != "" && step.Return == pamstack.Success:
		return s.answers[step.Line].fix
	case kind == permits && step.Action == pamstack.Done:
		return capital(takeOut) + "."
	case step.Action > 0 && kind == conditional && step.Line+1 == check:
		return takeOut + "."
	case step.Action > 0:
		return s.countAgain(step, check)
	case len(culprit.Via) > len(s.Lines[check].Via):
		return s.substack(culprit, len(s.Lines[check].Via))
	}
	jump := s.jumpInstead(step.Line, check)
	switch {
	case kind != conditional && jump != "":
		return capital(jump) + "."
	case kind != conditional:
		return fmt.Sprintf("Write the control of %s as [success=1 default=ignore], with a line auth requisite pam_deny.so behind it, and behind this line: auth required pam_permit.so", culprit.Position)
	case jump != "":
		return takeOut + ". To have such people asked for the code too: " + jump + "."
	}
	return takeOut + "."
}

func (s Stack) countAgain(step pamstack.Step, check int) string {
	culprit := s.Lines[step.Line]
	fix := fmt.Sprintf("Count again: the jump at %s must end before this line, or this line must stand behind those that are jumped over.", culprit.Position)
	if culprit.File != s.File {
		fix += fmt.Sprintf(" At best it stands in %s, behind the line that includes %s.", s.File, culprit.File)
	}
	return fix
}

// substack says what to write where a line was included so many files down. An
// @include brings lines of all types, a substack those of one.
func (s Stack) substack(culprit pamstack.Line, depth int) string {
	via, file := culprit.Via[depth], culprit.File
	if len(culprit.Via) > depth+1 {
		file = culprit.Via[depth+1].File
	}
	name := filepath.Base(file)
	var others []string
	for _, stage := range []pamstack.Type{pamstack.Account, pamstack.Session, pamstack.Password} {
		if slices.ContainsFunc(s.Stack.Lines(stage), func(line pamstack.Line) bool { return slices.Contains(line.Via, via) }) {
			others = append(others, stage.String()+" include "+name)
		}
	}
	fix := fmt.Sprintf("Write auth substack %s at %s instead of what stands there", name, via)
	if len(others) > 0 {
		fix += ", and behind it, each on a line of its own, " + strings.Join(others, ", ")
	}
	return fix + ": what ends a substack does not end the stack around it."
}

// moveBehind says where a line belongs that asks before the password.
func (s Stack) moveBehind(check int) string {
	kinds, line := s.kinds(), s.Lines[check]
	for i, other := range s.Lines {
		if kinds[i] == password && other.Actions[pamstack.Success] == pamstack.Done && other.Level == line.Level && len(other.Via) > len(line.Via) {
			return fmt.Sprintf("Move the line behind %s, which includes the password modules. ", other.Via[len(line.Via)]) + s.substack(other, len(line.Via))
		}
	}
	return "Move the line behind the password modules or the line that includes them."
}

// jumpInstead looks for a jump that leads whom a line lets in to the check, and
// all that are let in now in still. It is tried before it is said.
func (s Stack) jumpInstead(line, check int) string {
	for _, permit := range []bool{false, true} {
		for count := 1; line+count <= check; count++ {
			t := s.withJump(line, count, check, permit)
			if !t.leadsTo(line, check) {
				continue
			}
			said := fmt.Sprintf("write the control of %s as [success=%d default=ignore]", s.Lines[line].Position, count)
			if permit {
				said += ", and behind this line: auth required pam_permit.so"
			}
			return said
		}
	}
	return ""
}

// withJump is the stack with another control, and with a line behind the check
// that says yes to those who are not asked.
func (s Stack) withJump(line, count, check int, permit bool) Stack {
	t := s
	t.Lines = slices.Clone(s.Lines)
	t.Lines[line].Actions = pamstack.Actions{pamstack.Success: pamstack.Action(count)}
	if permit {
		yes := pamstack.Line{Type: pamstack.Auth, Kind: pamstack.Module, Module: "pam_permit.so", Level: s.Lines[check].Level}
		for i := range yes.Actions {
			yes.Actions[i] = pamstack.Bad
		}
		yes.Actions[pamstack.Success] = pamstack.OK
		t.Lines = slices.Insert(t.Lines, check+1, yes)
	}
	return t
}

// leadsTo says whether those to whom a line says yes come to the check and get in
// with the code, or if they are not asked.
func (s Stack) leadsTo(line, check int) bool {
	says := func(p path, want bool) bool { return p.in() && p.check == want && p.says(line) }
	yes := func(p path) bool { return says(p, true) }
	all := s.paths(Outcome{Password: true})
	_, asked := has(all, yes)
	_, unasked := has(s.paths(Outcome{Password: true, Code: NotAsked}), yes)
	_, past := has(all, func(p path) bool { return says(p, false) })
	_, wrong := has(s.paths(Outcome{Password: true, Code: WrongCode}), func(p path) bool { return says(p, true) })
	return asked && unasked && !past && !wrong
}

// says says whether a line said yes on the way.
func (p path) says(line int) bool {
	return slices.ContainsFunc(p.Steps, func(step pamstack.Step) bool { return step.Line == line && step.Return == pamstack.Success })
}

func capital(sentence string) string { return strings.ToUpper(sentence[:1]) + sentence[1:] }
