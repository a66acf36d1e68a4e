// Package console finds ways in at a machine's console, or on its serial line, that
// ask for nothing: a getty or a display manager that logs somebody in by itself,
// and shells of root's that systemd or the kernel start.
//
// The entry point is [Exam.Examine]. It promises to name each such way that files
// tell of, with the account that it opens, on a machine where others are asked for
// codes. Who uses it has to be at the console, so one that opens an account of whom
// nobody asks a code is no more than a note.
package console

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Exam is what is looked at.
type Exam struct {
	Machine *target.Machine
	// Asked says whether somebody is to be asked for codes.
	Asked func(user string) bool
	// Begun says that the console is to ask for codes.
	Begun bool
}

// exam is one run.
type exam struct {
	Exam
	findings []finding.Finding
}

func (e *exam) add(f finding.Finding) { e.findings = append(e.findings, f) }

// Examine looks at the console of a machine.
func (e Exam) Examine() []finding.Finding {
	x := &exam{Exam: e}
	x.gettys()
	x.inittab()
	x.terminals()
	x.credentials()
	x.shells()
	x.kernel()
	x.displayManagers()
	return x.findings
}

// superuser is whose account gives everything.
const superuser = "root"

// loggedIn is about somebody whom a program logs in by itself.
func (e *exam) loggedIn(place pamstack.Position, service, program, user, fix string) {
	f := finding.At(place, finding.Finding{Severity: finding.Note, ID: "automatic-login",
		What:    program + " logs " + user + " in by itself.",
		Follows: "Whoever is at the console is in as " + user + ", with neither password nor code.", Fix: fix})
	if service != "" {
		f.Services = []string{service}
	}
	if user == superuser || e.Begun || e.Asked(user) {
		f.Severity = finding.Warning
	}
	e.add(f)
}

// rootShell is about a shell of root's that asks for nothing.
func (e *exam) rootShell(place pamstack.Position, what, follows, fix string) {
	e.add(finding.At(place, finding.Finding{Severity: finding.Warning, ID: "root-shell", What: what, Follows: follows, Fix: fix}))
}

// atConsole is what follows from a shell of root's at the console.
const atConsole = "Whoever is at the console, or at the serial line, is root with neither password nor code."

// shellNames are the programs that are shells.
var shellNames = strings.Fields("sh bash dash ash zsh ksh mksh fish tcsh csh busybox toybox")

func isShell(path string) bool {
	return slices.Contains(shellNames, path[strings.LastIndexByte(path, '/')+1:])
}
