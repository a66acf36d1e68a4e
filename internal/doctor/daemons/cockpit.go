package daemons

import (
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// cockpit looks at ways into its page that do not ask PAM for a password. That PAM's
// service has no line is told with the ways to root.
func (e *exam) cockpit() {
	const file = "/etc/cockpit/cockpit.conf"
	const keytab = "/etc/cockpit/krb5.keytab"
	if unit.Idle(e.Machine.Root, "cockpit.service") {
		return
	}
	s := started{pamstack.Position{File: file}, "cockpit.service", []string{"cockpit"}}
	section, negotiates := "", true
	for place, line := range target.Lines(e.Machine.Root, file, 0) {
		if name, ok := strings.CutPrefix(line, "["); ok {
			section, _, _ = strings.Cut(strings.ToLower(name), "]")
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.ToLower(strings.TrimSpace(value))
		switch {
		case section == "webservice" && key == "clientcertauthentication" && (value == "yes" || value == "true" || value == "1"):
			e.add(finding.At(place, finding.Finding{Severity: finding.Warning, ID: "daemon-past-pam", Services: []string{"cockpit"},
				What:    "cockpit takes certificates in place of a password.",
				Follows: "Who has a certificate, on a smart card or as a file, is at its page, which has a terminal, without a code.", Fix: "Take ClientCertAuthentication out."}))
		case section == "negotiate" && key == "action":
			negotiates = value != "none"
		}
	}
	if negotiates && e.Machine.Has(keytab) && e.asks("cockpit") {
		s.Position = pamstack.Position{File: keytab}
		e.add(finding.At(s.Position, finding.Finding{Severity: finding.Warning, ID: "daemon-past-pam", Services: []string{"cockpit"},
			What:    "cockpit has a keytab, and so takes Kerberos tickets in place of a password.",
			Follows: "Who has a ticket is at its page, which has a terminal, without a code.", Fix: "Write in " + file + ", in the section [negotiate]: action = none"}))
	}
}
