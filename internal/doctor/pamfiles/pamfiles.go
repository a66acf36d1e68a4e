// Package pamfiles finds what is wrong with files of pam.d around a stack that is
// right by itself: another program will write one anew, a host may not read one, others
// than root can write one,
// the account stage denies, a service beside it or the one that stands in for all
// that have none lets in without a code.
package pamfiles

import (
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Exam is what is looked at.
type Exam struct {
	Machine  *target.Machine
	Tree     pamstack.Tree
	Settings config.Config
	// Stacks are those that ask for a code.
	Stacks []authstack.Stack
	// Gone says whether libpam has no module for a line.
	Gone     func(pamstack.Line) bool
	findings []finding.Finding
}

// Examine returns what it finds.
func (e *Exam) Examine() []finding.Finding {
	for _, s := range e.Stacks {
		e.account(s)
		e.noPassword(s)
		e.readable(s)
		e.generated(s)
		e.emptyPasswords(s)
		e.beside(s)
		e.byPath(s)
	}
	if len(e.Stacks) > 0 {
		e.other()
		e.writable()
	}
	return e.findings
}

func (e *Exam) add(f finding.Finding) { e.findings = append(e.findings, f) }

// load reads a service, without the modules that are not there.
func (e *Exam) load(service string) (authstack.Stack, error) {
	s, err := authstack.Load(e.Tree, service, e.Settings)
	return s.Without(e.Gone), err
}
