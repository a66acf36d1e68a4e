package daemons

import (
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// dropbearFile is there where one is built with PAM.
const dropbearFile = "/etc/pam.d/dropbear"

// dropbear finds one that is started.
func (e *exam) dropbear() {
	if e.Machine.Has(dropbearFile) {
		return
	}
	for _, s := range e.started("dropbear", "dropbearmulti") {
		f := finding.Finding{Severity: finding.Warning, ID: "dropbear-without-pam",
			What:    s.By + " is enabled and starts dropbear, which does not ask PAM as distributions build it.",
			Follows: "Who has a password or a key gets in there with that alone.", Fix: s.off()}
		if s.has("-s") || s.has("-g") && s.has("-w") {
			f.Follows = "Who has a key gets in there with that alone."
		}
		e.add(finding.At(s.Position, f))
	}
}
