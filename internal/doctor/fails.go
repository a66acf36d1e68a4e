package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// load says why a module's file cannot be loaded, and remembers it.
func (e *exam) load(ctx context.Context, path string) error {
	err, known := e.loads[path]
	if !known {
		err = e.Machine.Load(ctx, path)
		e.loads[path] = err
	}
	return err
}

// gone says whether libpam has no module for a line.
func (e *exam) gone(line pamstack.Line) bool {
	path, found := e.Machine.Module(line.Module)
	if !found {
		return true
	}
	err := e.load(context.Background(), path)
	return err != nil && !errors.Is(err, target.ErrNotTold)
}

// effect is what the modules that are not there make of the logins.
func (e *exam) effect(s authstack.Stack) authstack.Effect { return s.Without(e.gone).Effect() }

// fails says what follows from a line whose module is not there, or cannot be
// loaded.
func (e *exam) fails(s authstack.Stack, line pamstack.Line) (follows string) {
	const start = "The line fails"
	if line.Silent {
		defer func() { follows += " libpam's log says nothing of it." }()
	}
	effect := e.effect(s)
	if s.Asks() && !e.changes(s) {
		effect = authstack.LetsOthersDecide
	}
	switch effect {
	case authstack.LetsAllIn:
		return start + ": everybody gets in with neither password nor code."
	case authstack.AsksNobody:
		return start + " and its control lets that pass: everybody gets in with the password alone."
	case authstack.AsksNoPassword:
		return start + " and its control lets that pass: the password is not asked."
	case authstack.LetsNobodyIn:
		return start + ": everybody is denied."
	}
	return start + " at every login, and the others decide."
}

// changes says whether what becomes of logins hangs on modules that are not there.
func (e *exam) changes(s authstack.Stack) bool { return e.effect(s) != s.Effect() }

// anothers is about a line of another module that is not there.
func (e *exam) anothers(s authstack.Stack, line pamstack.Line, f finding.Finding) finding.Finding {
	f = finding.At(line.Position, f)
	f.Services, f.Follows, f.Severity = []string{s.Service}, e.fails(s, line), finding.Warning
	if e.changes(s) {
		f.Severity = finding.Error
	}
	if e.effect(s) < authstack.LetsNobodyIn {
		f.Fix, _, _ = strings.Cut(f.Fix, ",")
		f.Fix = strings.TrimSuffix(f.Fix, ".") + "."
	}
	return f
}
