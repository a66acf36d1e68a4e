package daemons

import (
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// ocserv finds ways into that VPN beside PAM: auth is what it wants, and each line of
// enable-auth is enough too.
func (e *exam) ocserv() {
	if !e.asks("ocserv") {
		return
	}
	for place, line := range target.Lines(e.Machine.Root, "/etc/ocserv/ocserv.conf", 0) {
		key, value, _ := strings.Cut(line, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if strings.TrimSpace(key) != "enable-auth" || strings.HasPrefix(value, "pam") {
			continue
		}
		way, _, _ := strings.Cut(value, "[")
		e.add(finding.At(place, finding.Finding{Severity: finding.Warning, ID: "daemon-past-pam", Services: []string{"ocserv"},
			What:    "By enable-auth ocserv takes " + way + " in place of PAM's password and code.",
			Follows: "Who has that is in the network without a code.", Fix: "Take enable-auth out; auth = \"certificate\" beside auth = \"pam\" asks for both."}))
	}
}
