package servers

import (
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// Asks says whether dovecot asks PAM for that service.
func (d Dovecot) Asks(service string) bool {
	return service == authstack.MailService || slices.ContainsFunc(d.passdbs, func(p dovecotPassdb) bool { return slices.Contains(p.services, service) })
}

// dovecot looks at what mail clients do with a code: see docs/recipes.md.
func (e *exam) dovecot() {
	for _, s := range e.stacks {
		if len(s.Checks) == 0 || !e.mail.Asks(s.Service) {
			continue
		}
		line := s.Lines[s.Checks[0]]
		open := s.UsuallyLetsIn(authstack.Outcome{Password: true, Code: authstack.WrongCode}) // then a used code is not refused either
		if !open && (s.Protocol == "" || e.policy.SessionFor(s.Protocol) == 0) {
			e.add(finding.At(line.Position, finding.Finding{Severity: finding.Warning, ID: "mail-without-session", Services: []string{s.Service},
				What:    "No login through dovecot is remembered, and mail clients open several connections with the one field that they keep.",
				Follows: "Each connection but the first brings a code that has been used: it is refused.",
				Fix:     `protocol=login on the module's lines, and in [policy]: sessions = { login = "12h" }, see docs/recipes.md.`}))
		}
		for _, p := range e.mail.passdbs {
			if p.cached == nil || e.mail.cache == nil || !slices.Contains(p.services, s.Service) {
				continue
			}
			why, fix := "cache_key here", "Take cache_key out of args"
			if p.named {
				why, fix = "no use_cache = no in this passdb", "Write use_cache = no into this passdb"
			}
			e.add(finding.At(p.cached.Position, finding.Finding{Severity: finding.Warning, ID: "mail-remembered", Services: []string{s.Service},
				What:    fmt.Sprintf("dovecot remembers what PAM said: %s, and auth_cache_size at %s.", why, e.mail.cache.Position),
				Follows: "As long as that lasts (auth_cache_ttl) a field with a used code gets in, from everywhere, whatever the policy says.",
				Fix:     fix + "; let otpgate remember the login instead, see docs/recipes.md."}))
		}
	}
}
