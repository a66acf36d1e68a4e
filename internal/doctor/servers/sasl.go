package servers

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// saslPrograms are files by which programs tell Cyrus SASL whom to ask, the key for
// that, and the PAM services that they are for.
var saslPrograms = []struct {
	files, key string
	services   []string
}{
	{"/etc/imapd.conf", "sasl_pwcheck_method", []string{"imap", "imaps", "pop", "pop3", "sieve", "lmtp", "mupdate"}},
	{"/etc/postfix/sasl/smtpd.conf", "pwcheck_method", []string{"smtp", "smtps", "submission"}},
	{"/etc/sasl2/smtpd.conf", "pwcheck_method", []string{"smtp", "smtps", "submission"}},
	{"/usr/lib/sasl2/smtpd.conf", "pwcheck_method", []string{"smtp", "smtps", "submission"}},
	{"/usr/lib64/sasl2/smtpd.conf", "pwcheck_method", []string{"smtp", "smtps", "submission"}},
	{"/etc/sasl2/svn.conf", "pwcheck_method", []string{"svn"}},
	{"/etc/sasl2/slapd.conf", "pwcheck_method", []string{"ldap"}},
}

// saslLibrary finds programs that look for passwords in a database of Cyrus SASL, in
// place of saslauthd or beside it: the first yes counts.
func (e *exam) saslLibrary() {
	for _, program := range saslPrograms {
		var services []string
		for _, s := range e.stacks {
			if len(s.Checks) > 0 && slices.Contains(program.services, s.Service) {
				services = append(services, s.Service)
			}
		}
		for place, line := range target.Lines(e.machine.Root, program.files, 0) {
			key, value, _ := strings.Cut(line, ":")
			methods := strings.Fields(strings.ToLower(value))
			if len(services) == 0 || strings.TrimSpace(key) != program.key || !slices.Contains(methods, "auxprop") && !slices.Contains(methods, "alwaystrue") {
				continue
			}
			e.add(finding.At(place, finding.Finding{Severity: finding.Warning, ID: otherPasswords, Services: services,
				What:    "By " + program.key + " the server looks into a database of Cyrus SASL, and not through saslauthd into PAM alone.",
				Follows: "Whoever has a password there gets in with that alone.",
				Fix:     "Write " + program.key + ": saslauthd. If these are passwords for programs that cannot be asked, leave it."}))
		}
	}
}

// otherPAM finds passdbs of dovecot that ask PAM for a service without the line, when
// one with it has refused somebody, or before.
func (e *exam) otherPAM(p dovecotPassdb, service string) {
	guarded := func(name string) bool {
		return slices.ContainsFunc(e.stacks, func(s authstack.Stack) bool { return s.Service == name && len(s.Checks) > 0 })
	}
	for _, other := range e.mail.passdbs {
		if other.number == p.number || len(other.services) != 1 || guarded(other.services[0]) || other.number > p.number && p.final {
			continue
		}
		e.add(finding.At(other.Position, finding.Finding{Severity: finding.Error, ID: passwordAlone, Services: []string{service},
			What:    "dovecot asks this passdb too, and that asks PAM for the service " + other.services[0] + ", which has no line.",
			Follows: "The password alone gets in, whatever the code was.",
			Fix:     "Take it out, or: otpctl pam enable " + other.services[0] + " --split"}))
	}
}
