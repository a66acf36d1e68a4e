package authstack

import (
	"slices"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// path is one way that a login may take through a stack.
type path struct {
	pamstack.Result
	// password says that some module took the password, first whether one was
	// reached before the first check.
	password, first bool
	// check says that a line that checks the code was reached.
	check bool
	// usual says that every module returned what it usually does.
	usual bool
}

func (p path) in() bool { return p.Return == pamstack.Success }

// maxPaths bounds the work for a stack; a stock stack has a few hundred.
const maxPaths = 20000

// paths are all the ways through a stack for somebody.
func (s Stack) paths(outcome Outcome) []path {
	kinds := s.kinds()
	var all []path
	var chosen []int
	for len(all) < maxPaths {
		var widths []int
		p := path{usual: true}
		p.Result = pamstack.Walk(s.Lines, func(i int) pamstack.Return {
			options := returnsOf(kinds[i], s.Lines[i], outcome)
			n := len(widths)
			widths = append(widths, len(options))
			if n == len(chosen) {
				chosen = append(chosen, 0)
			}
			got := options[chosen[n]]
			p.note(kinds[i], got, chosen[n])
			return got
		})
		all = append(all, p)
		if chosen = next(chosen, widths); chosen == nil {
			break
		}
	}
	return all
}

func (p *path) note(k kind, got pamstack.Return, choice int) {
	p.usual = p.usual && choice == 0
	switch k {
	case password:
		p.password = p.password || got == pamstack.Success
		p.first = p.first || !p.check
	case ours:
		p.check = true
	}
}

// next counts up, the last place fastest; nil is the end.
func next(chosen, widths []int) []int {
	for n := len(widths) - 1; n >= 0; n-- {
		if chosen[n]+1 < widths[n] {
			return append(chosen[:n:n], chosen[n]+1)
		}
	}
	return nil
}

// culprit is the step that led past the line of that index: the last one before
// it, which jumped or ended the stack.
func (p path) culprit(check int) (pamstack.Step, bool) {
	for n := len(p.Steps) - 1; n >= 0; n-- {
		step := p.Steps[n]
		if step.Line < check {
			leads := step.Action > 0 || step.Action == pamstack.Done || step.Action == pamstack.Die
			return step, leads
		}
	}
	return pamstack.Step{}, false
}

func has(paths []path, test func(path) bool) (path, bool) {
	for _, p := range paths {
		if test(p) {
			return p, true
		}
	}
	return path{}, false
}

func only(paths []path, test func(path) bool) []path {
	var found []path
	for _, p := range paths {
		if test(p) {
			found = append(found, p)
		}
	}
	return found
}

// Usually is what a module returns in this stack to somebody whose password is
// right or not. A module that may end the stack by a condition does not.
func (s Stack) Usually(module string, arguments []string, password bool) pamstack.Return {
	kinds := s.kinds()
	for i, line := range s.Lines {
		if line.Module != module || !slices.Equal(line.Args, arguments) {
			continue
		}
		action := line.Actions[pamstack.Success]
		if kinds[i] == conditional && (action == pamstack.Done || action > 0) {
			return pamstack.AuthErr
		}
		return returnsOf(kinds[i], line, Outcome{Password: password})[0]
	}
	return pamstack.AuthErr
}
