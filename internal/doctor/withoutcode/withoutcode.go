// Package withoutcode finds services that take a password and ask for no code, on a
// machine where others ask.
//
// The entry point is [Examine]. It promises to name every service with a password
// module in its stack that lets somebody in, by whom it lets in: strangers from the
// network, people at the console or who become somebody else, or nobody new.
package withoutcode

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// ID is that of services without the line.
const ID = "password-without-code"

// Machine is what is known of its services.
type Machine struct {
	// Guarded have a line, Others may be open.
	Guarded, Others []authstack.Stack
	Policy          config.Policy
	// Servers are services that servers of the network ask for by their configuration.
	Servers []string
	// ByOther are services that have no file, and that programs ask for.
	ByOther []ByOther
	// Known are services about which there is a finding already.
	Known map[string]bool
	// Idle says that nothing on the machine brings passwords from the network to a
	// service, as far as its files say.
	Idle func(service string) bool
}

// Examine looks at the services without a line.
func Examine(m Machine) (found []finding.Finding) {
	open := map[way][]authstack.Stack{}
	for _, s := range m.Others {
		if !m.Known[s.Service] && takesPassword(s) {
			w := wayOf(s)
			switch {
			case slices.Contains(m.Servers, s.Service):
				w = fromTheNetwork
			case w == locally && m.leftOut(s):
				w = unknown // the policy asks for no code there, and says so by name
			case w == fromTheNetwork && m.Idle(s.Service):
				w = unknown
			}
			open[w] = append(open[w], s)
		}
	}
	for _, kind := range []struct {
		way           way
		severity      finding.Severity
		what, follows string
	}{
		{fromTheNetwork, finding.Warning, "Servers of the network", "Whoever has a password gets in there with that alone."},
		{locally, m.severity(), "Services of the console, or by which people become somebody else such as root,", "Whoever has a password gets in there with that alone."},
		{unknown, finding.Note, "Other services", "Whoever has a password needs no code there."},
	} {
		if stacks := open[kind.way]; len(stacks) > 0 {
			f := m.about(stacks)
			f.Severity, f.Follows = kind.severity, kind.follows
			f.What = kind.what + " take a password, and no line of theirs calls " + authstack.ModuleName + "."
			found = append(found, f)
		}
	}
	return append(found, m.standIns()...)
}

// severity is that of ways in at the console and of ways to other accounts. Who
// begins with sshd leaves those for later and has the console for an emergency, as
// docs/roll-out.md says. Once one of them asks, or the policy requires codes, the
// others are holes.
func (m Machine) severity() finding.Severity {
	begun := slices.ContainsFunc(m.Guarded, func(s authstack.Stack) bool { return wayOf(s) == locally && !m.leftOut(s) })
	if begun || len(m.Policy.Require) > 0 {
		return finding.Warning
	}
	return finding.Note
}

// leftOut says whether policy.protocols leaves a service out.
func (m Machine) leftOut(s authstack.Stack) bool {
	return s.Protocol != "" && !slices.Contains(m.Policy.Protocols, s.Protocol)
}

func (m Machine) about(stacks []authstack.Stack) finding.Finding {
	var services, protocols []string
	for _, s := range stacks {
		services = append(services, s.Service)
		if m.leftOut(s) && !slices.Contains(protocols, string(s.Protocol)) {
			protocols = append(protocols, string(s.Protocol))
		}
	}
	slices.Sort(services)
	also := ""
	if len(protocols) > 0 {
		also = ", and add " + strings.Join(protocols, " and ") + " to policy.protocols, which leaves it out"
	}
	return finding.Finding{ID: ID, Services: services,
		Fix: "otpctl pam enable SERVICE for each of them" + also + ". What is meant to be so is excused in /etc/otpgate/doctor.toml: [[excuse]] with id = \"" + ID +
			"\", service = \"SERVICE\" and the reason."}
}

// takesPassword says whether the stack has lines of its own for authentication
// that let somebody in who has a password.
func takesPassword(s authstack.Stack) bool {
	own := slices.ContainsFunc(s.Own(), func(l pamstack.Line) bool { return l.Type == pamstack.Auth })
	return own && s.AsksPassword() && s.LetsIn(authstack.Outcome{Password: true, Code: authstack.NotAsked})
}
