package sshd

import (
	"path/filepath"
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// dropbearFile is there where one is built with PAM.
const dropbearFile = "/etc/pam.d/dropbear"

// dropbear finds one that is started beside an sshd that asks.
func (e Exam) dropbear() (found []finding.Finding) {
	asks := func(s authstack.Stack) bool { return s.Service == "sshd" && len(s.Checks) > 0 }
	if !slices.ContainsFunc(e.Stacks, asks) || e.Machine.Has(dropbearFile) {
		return nil
	}
	if len(e.Machine.Glob("/etc/systemd/system/*.wants/dropbear*")) == 0 {
		return nil // it is there, and nothing starts it
	}
	for _, service := range unit.Services(e.Machine.Root, "dropbear") {
		for _, command := range service.Commands {
			if len(command.Words) == 0 || filepath.Base(command.Words[0].Text) != "dropbear" {
				continue
			}
			found = append(found, finding.At(command.Place, finding.Finding{Severity: finding.Warning, ID: "dropbear-without-pam",
				What:    service.Name + " is enabled and starts dropbear, which does not ask PAM as distributions build it.",
				Follows: "Who has a password or a key gets in there with that alone.",
				Fix:     "systemctl disable --now " + service.Name}))
		}
	}
	return found
}
