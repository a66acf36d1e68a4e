// Package root finds ways to become root that no code is asked for, where sudo or
// su are to ask for one: rules of sudo's own that ask for nothing or for somebody
// else's password, and programs beside it.
package root

import (
	"context"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Exam is what is looked at.
type Exam struct {
	Machine *target.Machine
	// Stacks are the services that are examined, and Load reads another one.
	Stacks []authstack.Stack
	Load   func(service string) (authstack.Stack, error)
	// ToAskRoot is what has root be asked for a code, "" if root is.
	ToAskRoot string

	readings []reading // of sudo's rules, once they were examined
}

// exam is one run.
type exam struct {
	*Exam
	findings []finding.Finding
}

func (e *exam) add(f finding.Finding) { e.findings = append(e.findings, f) }

// Examine looks at the ways to root of a machine.
func (e *Exam) Examine(ctx context.Context) []finding.Finding {
	x := &exam{Exam: e}
	x.sudo(ctx)
	x.su()
	x.doas()
	x.cockpit()
	x.polkit()
	return x.findings
}

// guarded are those of some services whose stacks check a code.
func (e *exam) guarded(services ...string) (found []string) {
	for _, s := range e.Stacks {
		if len(s.Checks) > 0 && slices.Contains(services, s.Service) {
			found = append(found, s.Service)
		}
	}
	return found
}

// have says that several have something, or that one has.
func have(names []string) string {
	if len(names) == 1 {
		return names[0] + " has"
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last] + " have"
}

// asks says whether a service asks for a code, if it is there to be asked.
func (e *exam) asks(service string) (asks, there bool) {
	stack, err := e.Load(service)
	return err == nil && stack.Asks(), err == nil && stack.File != ""
}
