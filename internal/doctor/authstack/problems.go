package authstack

import (
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Problems are what is wrong with the stack by itself. The worst that has the
// others for a consequence stands alone.
func (s Stack) Problems() []finding.Finding {
	var found []finding.Finding
	for _, check := range []func(Stack) []finding.Finding{
		Stack.tooLong, Stack.brokenLines, Stack.arguments, Stack.splits, Stack.behindSplit, Stack.reached, Stack.passes, Stack.order, Stack.lets, Stack.twice,
	} {
		found = append(found, check(s)...)
	}
	if slices.ContainsFunc(found, func(f finding.Finding) bool { return f.ID == "code-never-asked" }) {
		// Where the line is not reached, nobody is denied for want of a field.
		found = slices.DeleteFunc(found, func(f finding.Finding) bool { return f.ID == "one-field-without-split" })
	}
	if worst, _ := finding.Worst(found); worst == finding.Error {
		// These are parts of it.
		found = slices.DeleteFunc(found, func(f finding.Finding) bool { return f.Severity == finding.Note || f.ID == AskedAfterWrong })
	}
	for i := range found {
		found[i].Services = []string{s.Service}
	}
	return found
}

func (s Stack) line(i int, f finding.Finding) finding.Finding {
	return finding.At(s.Lines[i].Position, f)
}

// tooLong is about stacks with more ways through than can be tried.
func (s Stack) tooLong() []finding.Finding {
	if len(s.paths(Outcome{Password: true})) < maxPaths {
		return nil
	}
	return []finding.Finding{s.line(0, finding.Finding{Severity: finding.Note, ID: "stack-too-long", What: fmt.Sprintf("There are more than %d ways through the stack.", maxPaths),
		Follows: "Not all of them were tried.", Fix: "Log in with a wrong code and see that it is refused."})}
}

// brokenLines are what libpam itself cannot make sense of. It logs them and
// lets them fail.
func (s Stack) brokenLines() []finding.Finding {
	var found []finding.Finding
	for _, line := range s.Lines {
		if line.Problem != "" {
			found = append(found, Broken(line, s.Service))
		}
	}
	return found
}

// Broken is about a line that libpam cannot make sense of.
func Broken(line pamstack.Line, service string) finding.Finding {
	return finding.At(line.Position, finding.Finding{Severity: finding.Error, ID: "line-broken", Services: []string{service}, What: line.Problem + ".",
		Follows: "The line fails at every login.", Fix: "Correct the line, see pam.conf(5)."})
}

// passes finds stacks that do not care about the code.
func (s Stack) passes() []finding.Finding {
	if len(s.Checks) == 0 {
		return nil
	}
	check := s.Checks[len(s.Checks)-1]
	wrong := s.paths(Outcome{Password: true, Code: WrongCode})
	if _, found := has(wrong, func(p path) bool { return p.in() && p.check && p.password }); found {
		return []finding.Finding{s.line(check, finding.Finding{Severity: finding.Error, ID: "wrong-code-passes",
			What:    "The control " + bracketed(s.Lines[check].Control) + " does not stop a login when the module denies it.",
			Follows: "A wrong code gets in like a right one.",
			Fix:     "Write: auth required " + ModuleName})}
	}
	if !s.AsksPassword() {
		return nil
	}
	without := only(s.paths(Outcome{}), func(p path) bool { return p.in() && p.check })
	if len(only(without, s.plain)) > 0 {
		return []finding.Finding{s.line(check, finding.Finding{Severity: finding.Error, ID: "code-replaces-password",
			What:    "A right code is enough, whatever the password was: no line remembers that it was wrong.",
			Follows: "Whoever has the phone gets in without the password.",
			Fix:     "Write required here, and have auth requisite pam_deny.so, which a right password jumps over, stop the others before."})}
	}
	return s.replaced(without)
}

// AskedAfterWrong is the id of what is worse where people enroll at a login.
const AskedAfterWrong = "asked-after-wrong-password"

// order finds the code asked before the password, or in spite of a wrong one.
func (s Stack) order() []finding.Finding {
	if len(s.Checks) == 0 || !s.AsksPassword() {
		return nil
	}
	check := s.Checks[0]
	right := only(s.paths(Outcome{Password: true}), func(p path) bool { return p.check && p.in() && s.plain(p) })
	if _, found := has(right, func(p path) bool { return !p.first }); found {
		return []finding.Finding{s.line(check, finding.Finding{Severity: finding.Error, ID: "code-before-password",
			What:    "The code is asked before the password.",
			Follows: "Strangers are asked for codes, so they can lock people out and have messages sent, and one prompt more tells who is enrolled.",
			Fix:     s.moveBehind(check)})}
	}
	if _, found := has(s.paths(Outcome{}), func(p path) bool { return p.check && s.plain(p) }); found {
		return []finding.Finding{s.line(check, finding.Finding{Severity: finding.Warning, ID: AskedAfterWrong,
			What:    "The code is asked even if the password was wrong: nothing before this line ends the stack then.",
			Follows: "The login is denied all the same, but strangers can lock people out, start their grace, and have codes sent to them.",
			Fix:     "Let a line such as auth requisite pam_deny.so end the stack before this one; a substack cannot, so this line has to go into it (see docs/pam-stacks.md)."})}
	}
	return nil
}

// lets finds stacks that let nobody in, or whom the policy does not ask.
func (s Stack) lets() []finding.Finding {
	if len(s.Checks) == 0 {
		return nil
	}
	check := s.Checks[len(s.Checks)-1]
	right := s.paths(Outcome{Password: true})
	if _, in := has(right, path.in); !in && s.Lines[check].Problem == "" {
		f := s.line(check, finding.Finding{Severity: finding.Error, ID: "nobody-gets-in",
			What:    "With the right password and the right code the stack still denies: " + s.whyDenied(right) + ".",
			Follows: "Nobody gets in through " + s.Service + ".",
			Fix:     "Move this line out of the lines that jumps go over, best into the service's own file behind the line that includes the password modules."})
		if right[0].BadJump == check {
			f.Fix = "Write: auth required " + ModuleName
		}
		if at := right[0].denial(); at >= 0 && s.Lines[at].Problem != "" {
			f.What = "With the right password and the right code the stack still denies: libpam makes no sense of " + s.Lines[at].Position.String() + "."
			f.Fix = "Correct that line, or take it out."
		}
		return []finding.Finding{f}
	}
	if f, denied := s.deniesSome(right); denied {
		return []finding.Finding{f}
	}
	return s.letsUnasked(check)
}

// denied finds a module of passwords whose yes ends in a denial, and the ways by which
// it does, of those that somebody with a right password may take.
func (s Stack) denied(right []path) (module int, taken []path) {
	if slices.ContainsFunc(s.Lines, func(line pamstack.Line) bool { return line.Problem != "" }) {
		return 0, nil // which is said, and spoils the count
	}
	for i, kind := range s.kinds() {
		takes := func(p path) bool {
			return slices.ContainsFunc(p.Steps, func(step pamstack.Step) bool { return step.Line == i && step.Return == pamstack.Success })
		}
		taken := only(right, takes)
		if _, in := has(taken, path.in); kind == password && !in && len(taken) > 0 {
			return i, taken
		}
	}
	return 0, nil
}

// deniesSome finds a module of passwords whose yes ends in a denial, while that of
// another one lets in.
func (s Stack) deniesSome(right []path) (f finding.Finding, denied bool) {
	i, taken := s.denied(right)
	if len(taken) == 0 {
		return f, false
	}
	return s.line(i, finding.Finding{Severity: finding.Error, ID: "nobody-gets-in",
		What:    "With the right password and the right code those are denied whose password " + s.Lines[i].Name() + " takes: " + s.whyDenied(taken) + ".",
		Follows: "They do not get in through " + s.Service + ". Of pam_unix.so that is root and all local people.",
		Fix:     "Count the jump of this line anew, or move our line behind those that it jumps over."}), true
}

// whyDenied names the line that spoils the usual way.
func (s Stack) whyDenied(paths []path) string {
	p := paths[0]
	if p.BadJump >= 0 {
		return fmt.Sprintf("%s jumps past the end", s.Lines[p.BadJump].Position)
	}
	for _, step := range p.Steps {
		if step.Line == p.denial() {
			return s.Lines[step.Line].Name() + " at " + s.Lines[step.Line].Position.String() + " is reached and returns " + step.Return.String()
		}
	}
	return "no line says yes"
}

// denial is the line that a way is denied at, -1 if none is.
func (p path) denial() int {
	for _, step := range p.Steps {
		if step.Action == pamstack.Bad || step.Action == pamstack.Die {
			return step.Line
		}
	}
	return -1
}

// LetsIn says whether anybody gets in who has that: the zero code is the right
// one, where one is asked for.
func (s Stack) LetsIn(outcome Outcome) bool {
	_, in := has(s.paths(outcome), path.in)
	return in
}

// Open says whether somebody gets in who has neither password nor code.
func (s Stack) Open() bool { return s.UsuallyLetsIn(Outcome{Code: WrongCode}) }

// UsuallyLetsIn is LetsIn for whoever no module treats otherwise than most.
func (s Stack) UsuallyLetsIn(outcome Outcome) bool {
	_, in := has(s.paths(outcome), func(p path) bool { return p.in() && p.usual })
	return in
}
