package withoutcode

import (
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// ByOther is a service that a program asks for and that has no file in pam.d, so that
// other stands in for it.
type ByOther struct {
	// Position is where the program is told so.
	pamstack.Position
	// Stack is what other makes of it.
	Stack   authstack.Stack
	Program string
	// BuiltIn says that nobody has named the service.
	BuiltIn bool
}

// standIns finds services without a file: where other takes the password they ask for
// no code, and where it denies nobody gets in who was meant to.
func (m Machine) standIns() (found []finding.Finding) {
	for _, b := range m.ByOther {
		s := b.Stack
		if m.Known[s.Service] {
			continue
		}
		f := finding.At(b.Position, finding.Finding{Severity: finding.Warning, ID: "other-stands-in", Services: []string{s.Service},
			What:    b.Program + " asks PAM for the service " + s.Service + ", which has no file in pam.d, so that the service other stands in for it.",
			Follows: "Whoever has a password gets in there with that alone.",
			Fix:     "Name a service there that has the line, or write an /etc/pam.d/" + s.Service + " with it; and have /etc/pam.d/other deny: see docs/pam-stacks.md."})
		open := s.LetsIn(authstack.Outcome{Password: true, Code: authstack.NotAsked})
		if b.BuiltIn {
			f.Fix = "Put /etc/pam.d/" + s.Service + " back, or write one, with the line: see docs/pam-stacks.md."
		}
		local := wayOf(s) == locally && !slices.Contains(m.Servers, s.Service)
		switch {
		case !open && (b.BuiltIn || local):
			continue // a program that nobody uses
		case !open:
			f.Follows = "other denies, so that nobody gets in there."
			f.Fix = "Name a service there that has a file, or write an /etc/pam.d/" + s.Service + " with the line: see docs/pam-stacks.md."
		case b.Program == "squid": // which lets nobody into the machine
			f.Severity = finding.Note
			f.Follows = "Whoever has a password gets through the proxy with that alone."
		case local && m.leftOut(s):
			f.Severity = finding.Note
		case local:
			f.Severity = m.severity()
		}
		found = append(found, f)
	}
	return found
}
