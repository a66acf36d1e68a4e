package doctor

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/asking"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/rollout"
)

// stack looks for what is wrong with one service's stack.
func (e *exam) stack(s authstack.Stack) {
	for _, f := range s.Problems() {
		if f.ID == authstack.AskedAfterWrong && e.changes(s) {
			continue // what becomes of such a login is said of the module that is not there
		}
		if f.ID == authstack.AskedAfterWrong && e.settings.Policy.Unenrolled == config.Enroll {
			f.Severity = finding.Error
			f.Follows = `With policy.unenrolled = "enroll" strangers enroll in the name of whoever has not yet: the login is denied, but the app and the recovery codes are theirs.`
		}
		if f.ID == authstack.AskedAfterWrong && e.settings.Policy.Unenrolled == config.Invite {
			f.Follows += ` With policy.unenrolled = "invite" they also have links mailed to whoever has not enrolled yet, one an hour to each.`
		}
		e.add(f)
	}
	e.protocol(s)
	e.siblings(s)
	e.hidden(s)
	e.stale(s)
}

// nobodyUnasked takes back what was said of people whom the policy does not ask, where it
// asks everybody.
func (e *exam) nobodyUnasked() {
	policy := e.settings.Policy
	own := slices.ContainsFunc(e.enrolled, func(p asking.Person) bool { return p.Protocols != nil })
	if !slices.Contains(policy.Require, config.All) || len(policy.Exempt)+len(policy.TrustedNetworks) > 0 || policy.Unenrolled == config.Allow ||
		e.inGrace() || own || e.settings.Remote != nil {
		return
	}
	for _, s := range e.stacks {
		asks := s.Protocol == "" || slices.Contains(policy.Protocols, s.Protocol) && policy.SessionFor(s.Protocol) == 0
		if !asks || len(s.Checks) == 0 || s.Lines[s.Checks[len(s.Checks)-1]].Arg("config") != "" {
			continue
		}
		e.findings = slices.DeleteFunc(e.findings, func(f finding.Finding) bool {
			return f.ID == authstack.NobodyWithoutCode && slices.Equal(f.Services, []string{s.Service})
		})
	}
}

// protocol finds services that the policy cannot tell apart.
func (e *exam) protocol(s authstack.Stack) {
	if s.Protocol != "" || len(s.Ours()) == 0 {
		return
	}
	// Where everybody is asked for codes by all protocols nothing follows from that.
	own := func(p asking.Person) bool { return p.Protocols != nil }
	if len(e.settings.Policy.Protocols) == len(e.settings.Policy.AllProtocols()) &&
		(e.settings.Remote != nil || !slices.ContainsFunc(e.people().Enrolled, own)) {
		return
	}
	e.add(finding.At(s.Lines[s.Ours()[0]].Position, finding.Finding{Severity: finding.Warning, ID: "protocol-unknown", Services: []string{s.Service},
		What:    "The configuration knows no protocol for the services that come here.",
		Follows: "They are asked for codes whatever policy.protocols says, also by programs that cannot answer.",
		Fix:     `Name it: protocol=… on the line, or SERVICE = "…" in [services], by a name of policy.own_protocols if none that is built in fits. If the line is in a file that all services include, move it into those that people log in by.`}))
}

// stale finds a password stage that otpctl wrote out and that is no longer what it was
// made from.
func (e *exam) stale(s authstack.Stack) {
	change, ok := rollout.Stale(e.tree, e.settings, s)
	if !ok {
		return
	}
	arguments := ""
	for _, argument := range s.Lines[s.Checks[0]].Args {
		arguments += " --argument " + argument
	}
	e.add(finding.At(s.Lines[s.Checks[0]].Position, finding.Finding{Severity: finding.Warning, ID: "written-out-stale", Services: []string{s.Service},
		What:    "The password stage that is written out here is not what it was made from any more: " + strings.TrimSuffix(change, ".") + ".",
		Follows: "What authselect or an update has changed there, such as a lock after wrong passwords or where accounts are, does not hold for " + s.Service + ".",
		Fix:     "otpctl pam disable " + s.Service + " && otpctl pam enable " + s.Service + arguments}))
}
