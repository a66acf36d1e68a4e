package authstack

import (
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// possessions are modules that ask for something else in the place of a password: a
// finger, a face, a key or a card. That and a code are two factors.
var possessions = words("fprintd fprint howdy u2f yubico pkcs11 p11 ssh_agent_auth poldi usb")

// instead is the line whose condition led past all passwords on a way to the code.
func (s Stack) instead(p path) (line int, ok bool) {
	kinds := s.kinds()
	for _, step := range p.Steps {
		switch kinds[step.Line] {
		case password:
			return 0, false
		case ours:
			return line, ok
		case conditional:
			if !ok && step.Return == pamstack.Success && (step.Action > 0 || step.Action == pamstack.Done) {
				line, ok = step.Line, true
			}
		}
	}
	return 0, false
}

// plain says of a way that no condition led past the password.
func (s Stack) plain(p path) bool {
	_, ok := s.instead(p)
	return !ok
}

// replaced is about conditions by which the code is all that is asked of some people.
func (s Stack) replaced(without []path) (found []finding.Finding) {
	told := map[int]bool{}
	for _, p := range without {
		line, ok := s.instead(p)
		if !ok || told[line] || possessions[short(s.Lines[line])] {
			continue
		}
		told[line] = true
		found = append(found, s.line(line, finding.Finding{Severity: finding.Warning, ID: "code-replaces-password",
			What:    "This line leads past the password if " + s.Lines[line].Name() + " says so.",
			Follows: "Who gets in that way needs the code and no password.",
			Fix:     "If that is not meant, move the line behind the password modules, or take it out."}))
	}
	return found
}
