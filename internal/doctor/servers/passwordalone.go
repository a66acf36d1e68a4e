package servers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// What a server does beside PAM: the same password without a code, or another
// one that PAM knows nothing of.
const (
	passwordAlone  = "password-alone"
	otherPasswords = "other-passwords"
)

// besidePAM finds servers for which PAM has not the last word.
func (e *exam) besidePAM() {
	servers := proftpdServers(e.machine.Root)
	for _, s := range e.stacks {
		if len(s.Checks) == 0 {
			continue
		}
		for _, server := range servers {
			if strings.EqualFold(server.service, s.Service) {
				e.findings = append(e.findings, server.findings(s.Service)...)
				e.findings = append(e.findings, server.keys(s.Service)...)
			}
		}
		for _, p := range e.mail.passdbs {
			if slices.Contains(p.services, s.Service) {
				e.findings = append(e.findings, e.otherPassdbs(p, s.Service)...)
				e.otherPAM(p, s.Service)
				e.masters(s.Service)
			}
		}
	}
}

// masters are about users whose password opens everybody's mailbox.
func (e *exam) masters(service string) {
	for _, p := range e.mail.masters {
		if p.driver == "pam" {
			continue // whose service asks, or is found without a line
		}
		e.add(finding.At(p.Position, finding.Finding{Severity: finding.Warning, ID: otherPasswords, Services: []string{service},
			What:    fmt.Sprintf("This passdb (%s) is of master users, whose password opens everybody's mailbox.", p.driver),
			Follows: "Whoever has such a password gets in as anybody, with that alone.",
			Fix:     "Take it out. If it is for programs that cannot be asked, let them in from their own addresses alone: allow_nets."}))
	}
}

// systemPassdbs are dovecot's drivers for the accounts that PAM knows too.
var systemPassdbs = strings.Fields("shadow passwd bsdauth ldap static vpopmail sia")

// otherPassdbs are those that dovecot asks when this one has refused somebody,
// or before it.
func (e *exam) otherPassdbs(p dovecotPassdb, service string) (found []finding.Finding) {
	for _, other := range e.mail.others {
		later := other.number > p.number
		if later && p.final {
			continue
		}
		f := finding.Finding{Severity: finding.Error, ID: passwordAlone, Services: []string{service},
			What:    fmt.Sprintf("dovecot asks this passdb (%s) when PAM has refused somebody.", other.driver),
			Follows: "The password alone gets in, whatever the code was.",
			Fix:     fmt.Sprintf("Take it out, or write into the passdb of PAM (%s): result_failure = return-fail and result_internalfail = return-fail", p.Position)}
		if !later {
			f.What = fmt.Sprintf("dovecot asks this passdb (%s) before PAM, and whom that lets in is in.", other.driver)
			f.Fix = "Take it out."
		}
		if !slices.Contains(systemPassdbs, other.driver) {
			f.Severity, f.ID, f.Follows = finding.Warning, otherPasswords, "Whoever has a password there gets in with that alone."
			f.Fix += " If these are passwords for programs that cannot be asked, leave it."
		}
		found = append(found, finding.At(other.Position, f))
	}
	return found
}
