package asking

import (
	"context"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// root finds that the account which everybody on the network knows is exempt, and
// sshd lets it in by its password.
func (e *exam) root(ctx context.Context, p Place) []finding.Finding {
	if p.Stack.Service != "sshd" || !e.exempts(p, "root") {
		return nil
	}
	text, err := e.machine.InForce(ctx)
	if err != nil {
		return nil // there is none, or the look at sshd says why it does not answer
	}
	says := strings.Split(strings.ToLower(text), "\n")
	if !slices.Contains(says, "permitrootlogin yes") || !slices.Contains(says, "usepam yes") ||
		!slices.Contains(says, "kbdinteractiveauthentication yes") && !slices.Contains(says, "passwordauthentication yes") {
		return nil
	}
	return []finding.Finding{{Severity: finding.Warning, ID: "root-exempt", Services: []string{p.Stack.Service},
		File: p.File, Line: finding.LineOf(p.Text, "exempt"),
		What:    "policy.exempt = " + list(p.Settings.Policy.Exempt) + " exempts root, and sshd has PermitRootLogin yes.",
		Follows: "root gets in from the network with the password alone.",
		Fix:     "Take root out of policy.exempt and enroll it, or write PermitRootLogin prohibit-password in sshd's configuration."}}
}
