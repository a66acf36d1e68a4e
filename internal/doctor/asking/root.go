package asking

import (
	"context"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// superuser is the account that some services never ask.
const superuser = "root"

// keepsOut says whether somebody is asked nothing at a place whatever the policy says:
// root by sudo and doas, and by an sshd that lets root in by a key or not at all.
func (e *exam) keepsOut(p Service, name string) bool {
	if name != superuser {
		return false
	}
	switch p.Stack.Service {
	case "sudo", "sudo-i", "doas":
		return true
	case "sshd":
		if e.keptOut == nil {
			text, err := e.machine.InForce(e.ctx)
			says := strings.Split(strings.ToLower(text), "\n")
			kept := err == nil && !slices.Contains(says, "permitrootlogin yes") && !e.permitted()
			e.keptOut = &kept
		}
		return *e.keptOut
	}
	return false
}

// permitted says whether any line of sshd's files lets root in by a password, as one
// within a Match may.
func (e *exam) permitted() bool {
	for _, file := range append(e.machine.Glob("/etc/ssh/sshd_config.d/*.conf"), target.SSHDConfig) {
		for _, line := range target.Lines(e.machine.Root, file, 0) {
			words := strings.Fields(strings.ToLower(strings.ReplaceAll(line, "=", " ")))
			if len(words) > 1 && words[0] == "permitrootlogin" && words[1] == "yes" {
				return true
			}
		}
	}
	return false
}

// root finds that the account which everybody on the network knows is exempt, and
// sshd lets it in by its password.
func (e *exam) root(ctx context.Context, p Service) []finding.Finding {
	if p.Stack.Service != "sshd" || !e.exempts(p, superuser) {
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
