package logins

import (
	"fmt"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// statusStack is the exit status if the stack in pam.d does not keep to what the
// policy wants.
const statusStack = 3

// walked is what the lines of a service make of the code.
type walked struct {
	// line asks for the code, the zero value if none does. never says why the code
	// is not asked all the same, and faults what else is wrong.
	line   pamstack.Line
	never  string
	faults []string
	// skipped are ways past the code that hang on who somebody is.
	skipped []string
}

// walk goes through the stack of the service as libpam would, and has the request
// and the configuration be those that the line names. settings are for what the
// line does not say.
func walk(a *invocation.App, request *gate.Request) (walked, error) {
	tree, settings := pamstack.Of(a.Machine.Root), a.SettingsOrDefault()
	stack, err := authstack.Load(tree, request.Service, settings)
	if missing := authstack.Missing(tree, stack.Stack); missing != nil {
		return walked{}, missing
	}
	if err != nil {
		return walked{}, fmt.Errorf("the login would be denied: %w", err)
	}
	request.Service = stack.Service
	if !stack.Asks() && stack.Service == settings.SFTP.PAMService {
		return walked{}, nil // otpgate-sftpd asks for the code itself, behind this stack
	}
	if !stack.Asks() {
		return walked{never: fmt.Sprintf("no line of %s calls %s", stack.Service, authstack.ModuleName)}, nil
	}
	w := walked{line: stack.Lines[stack.Ours()[len(stack.Ours())-1]]}
	w.obey(a, request)
	w.judge(stack.Problems())
	return w, nil
}

// obey takes protocol= and config= of the line, unless the command line has others.
func (w *walked) obey(a *invocation.App, request *gate.Request) {
	if named := w.line.Arg("config"); named != "" && a.Config == "" {
		a.Config = a.Machine.Root + named
	} else if named != "" && named != a.Config {
		a.Note("%s names config=%s, which logins take; --config has another one looked at here", w.line.Position, named)
	}
	if named := w.line.Arg("protocol"); named != "" && request.Protocol == "" {
		request.Protocol = config.Protocol(named)
	} else if named != "" && named != string(request.Protocol) {
		a.Note("%s names protocol=%s, which logins take; --protocol has another one looked at here", w.line.Position, named)
	}
}

func (w *walked) judge(problems []finding.Finding) {
	for _, f := range problems {
		what := f.Where() + ": " + f.What
		switch {
		case f.ID == "code-never-asked" || f.ID == "split-without-check":
			w.never = strings.TrimSuffix(what, ".")
		case f.ID == "code-can-be-skipped":
			w.skipped = append(w.skipped, what+" "+f.Follows)
		case f.Severity == finding.Error:
			w.faults = append(w.faults, what+" "+f.Follows)
		}
	}
}

// into says in the result what the stack makes of what the policy wants.
func (w walked) into(result *tested) {
	if w.line.File != "" {
		result.Line, result.Arguments = w.line.Position.String(), w.line.Args
	}
	result.Faults = w.faults
	if w.never == "" {
		return
	}
	result.Policy = result.Result
	result.Result, result.Rule, result.Reason = "not-asked", "pam.d", w.never
}

// remark says what is not an answer.
func (w walked) remark(a *invocation.App, service string) {
	for _, way := range w.skipped {
		a.Note("%s", way)
	}
	switch {
	case w.never != "" && w.line.File == "":
		a.Note("%s pam enable %s adds the line; --protocol asks the policy alone", a.Self(), service)
	case w.never != "" || len(w.faults) > 0:
		a.Note("%s doctor --service %s draws the stack and says what to do", a.Self(), service)
	}
}

// status is what the command ends with.
func (w walked) status() error {
	if w.never != "" || len(w.faults) > 0 {
		return invocation.FoundStatus(statusStack)
	}
	return nil
}
