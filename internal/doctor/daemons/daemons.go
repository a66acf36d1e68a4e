// Package daemons finds daemons, beside those that have packages of their own here,
// that let people in over the network: by login(1) without the line, by passwords of
// their own, by keys, or as a shell for whoever comes.
//
// The entry point is [Exam.Examine]. It promises to name those that the machine
// starts, by units, superservers, supervisors, scripts or a running process; one that
// is only installed is not named, but for what OpenVPN's configuration asks PAM for and
// for screen lockers without a file in pam.d. Programs that it does not know it cannot see.
package daemons

import (
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Exam is what is looked at.
type Exam struct {
	Machine *target.Machine
	Policy  config.Policy
	// Load reads the stack of a service.
	Load func(service string) (authstack.Stack, error)
}

// exam is one run.
type exam struct {
	Exam
	findings []finding.Finding
}

func (e *exam) add(f finding.Finding) { e.findings = append(e.findings, f) }

// Examine looks at the daemons of a machine.
func (e Exam) Examine() []finding.Finding {
	x := &exam{Exam: e}
	x.dropbear()
	x.byLogin()
	x.webShells()
	x.ownPasswords()
	x.vnc()
	x.webmin()
	x.cockpit()
	x.ocserv()
	x.openvpn()
	x.lockersWithoutFile()
	return x.findings
}

// asks says whether a service asks for a code.
func (e *exam) asks(service string) bool {
	stack, err := e.Load(service)
	return err == nil && stack.Asks()
}

// pastPAM is about a daemon that does not ask PAM.
func (e *exam) pastPAM(s started, what, follows string) {
	e.add(finding.At(s.Position, finding.Finding{Severity: finding.Warning, ID: "daemon-past-pam",
		What: what, Follows: follows, Fix: s.off()}))
}

// withoutLine is about a daemon that has login(1) ask for a password.
func (e *exam) withoutLine(s started, program string) {
	service := e.loginService(program)
	if e.asks(service) {
		return
	}
	e.add(finding.At(s.Position, finding.Finding{Severity: finding.Warning, ID: "daemon-without-line", Services: []string{service},
		What:    s.By + " starts " + program + ", which has login ask PAM for the service " + service + ", and no line of that calls " + authstack.ModuleName + ".",
		Follows: "Whoever has a password gets in over the network with that alone.",
		Fix:     s.off() + " Or: otpctl pam enable " + service}))
}

// loginService is what login(1) asks PAM for: but on Debian another one for who comes
// from elsewhere, which telnetd says.
func (e *exam) loginService(program string) string {
	remote, err := e.Load("remote")
	if strings.Contains(program, "telnet") && err == nil && remote.File != "" && !e.Machine.Has("/etc/debian_version") {
		return "remote"
	}
	return "login"
}

// telnets are daemons that have login(1) ask.
var telnets = strings.Fields("in.telnetd telnetd utelnetd inetutils-telnetd telnetd-ssl in.telnetd-ssl")

func (e *exam) byLogin() {
	for _, s := range e.started(telnets...) {
		if login := s.option("-E", "-l"); isShell(login) {
			e.pastPAM(s, s.By+" starts "+s.program()+", and that "+login+" in place of login.", anybodyRoot)
			continue
		}
		e.withoutLine(s, s.program())
	}
}

const anybodyRoot = "Whoever reaches it has a shell with neither password nor code."

// others are daemons with a way in of their own, and what that is.
var others = []struct{ programs, what, follows string }{
	{"in.rlogind rlogind in.rshd rshd in.rexecd rexecd", "which believes other machines and ~/.rhosts, or takes a password by itself", "Who comes from such a machine, or has a password, gets in with that alone."},
	{"tinysshd", "which takes keys alone and asks PAM for nothing", "Who has a key gets in there with that alone."},
	{"anydesk teamviewerd rustdesk", "which has a password of its own for the desktop", "Who has that password is at the desktop as whoever is logged in there, without a code."},
}

// ownServices are what some of these ask PAM for, where they do.
var ownServices = map[string]string{"rlogind": "rlogin", "rshd": "rsh", "rexecd": "rexec"}

// ownPasswords finds daemons that do not ask PAM, or not for all.
func (e *exam) ownPasswords() {
	for _, o := range others {
		for _, s := range e.started(strings.Fields(o.programs)...) {
			service := ownServices[strings.TrimPrefix(s.program(), "in.")]
			if service == "" || !e.asks(service) {
				e.pastPAM(s, s.By+" starts "+s.program()+", "+o.what+".", o.follows)
			}
		}
	}
}

// isShell says whether a program is a shell, or something that starts one.
func isShell(program string) bool {
	return slices.Contains(strings.Fields("sh bash dash ash zsh ksh mksh fish tcsh csh tmux screen busybox su"), path.Base(program))
}
