package authstack

import "github.com/otpgate/otpgate/internal/pamstack"

// Effect is what lines that libpam cannot run make of the logins through a stack.
type Effect uint8

// The effects, the worst first.
const (
	// LetsAllIn needs neither password nor code.
	LetsAllIn Effect = iota
	// AsksNobody needs the password alone.
	AsksNobody
	// AsksNoPassword needs the code alone.
	AsksNoPassword
	// LetsNobodyIn has nobody in, whatever they have.
	LetsNobodyIn
	// LetsOthersDecide changes nothing that the other lines do not.
	LetsOthersDecide
)

// Without is the stack where the modules of some lines are not there.
func (s Stack) Without(gone func(pamstack.Line) bool) Stack {
	t := s
	t.gone = map[int]bool{}
	for i, line := range s.Lines {
		if line.Kind == pamstack.Module && gone(line) {
			t.gone[i] = true
		}
	}
	return t
}

// Effect is what becomes of logins. Conditions that lead past our lines are left
// out of account: they are found for themselves.
func (s Stack) Effect() Effect {
	kinds := s.kinds()
	plainly := func(p path) bool {
		for _, step := range p.Steps {
			if kinds[step.Line] == conditional && step.Action != pamstack.OK && step.Action != pamstack.IgnoreIt {
				return false
			}
		}
		return p.in()
	}
	if _, open := has(s.paths(Outcome{Code: WrongCode}), plainly); open {
		return LetsAllIn
	}
	if _, in := has(s.paths(Outcome{Password: true, Code: WrongCode}), plainly); in {
		return AsksNobody
	}
	if _, in := has(s.paths(Outcome{}), plainly); in {
		return AsksNoPassword
	}
	if !s.LetsIn(Outcome{Password: true}) && !s.LetsIn(Outcome{Password: true, Code: NotAsked}) {
		return LetsNobodyIn
	}
	return LetsOthersDecide
}
