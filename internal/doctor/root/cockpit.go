package root

import (
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// cockpit looks at its web page, which has a terminal, where a login or a way to
// root is to ask for a code.
func (e *exam) cockpit() {
	guards := e.guarded("sshd", "login", "sudo", "sudo-i", "su", "su-l")
	asks, there := e.asks("cockpit")
	if len(guards) == 0 || asks || !there {
		return
	}
	stack, _ := e.Load("cockpit")
	f := finding.Finding{Severity: finding.Warning, ID: "sibling-without-line", Services: []string{"cockpit"}, File: stack.File,
		What:    have(guards) + " the line, and cockpit has none.",
		Follows: "Its web page, which has a terminal, lets in with the password alone, root too.",
		Fix:     "otpctl pam enable cockpit --argument protocol=login"}
	if e.kept("/etc/cockpit/disallowed-users", "root") {
		f.Follows = "Its web page, which has a terminal, lets in with the password alone, all but root."
	}
	if unit.Idle(e.Machine.Root, "cockpit.service") {
		f.Severity = finding.Note
		f.Follows = "Its socket is not enabled now. " + f.Follows
	}
	e.add(f)
}

// kept says whether a file of names has one.
func (e *exam) kept(file, name string) bool {
	text, err := target.Read(e.Machine.Root, file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == name {
			return true
		}
	}
	return false
}
