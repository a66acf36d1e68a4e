package sshd

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// permitRoot says by which methods root gets in.
const permitRoot = "permitrootlogin"

// Values by which root is left no method that asks. Older versions call the first
// one otherwise.
const (
	prohibited   = "prohibit-password"
	wasSaid      = "without-password"
	commandsOnly = "forced-commands-only"
)

// root is about somebody who has a code and is never asked for it: what
// PermitRootLogin prohibits are all methods but those that never come to PAM.
func (v view) root(lists [][]string) []finding.Finding {
	value := strings.Replace(v.values[permitRoot], wasSaid, prohibited, 1)
	if !v.RootEnrolled || len(v.stack.Checks) == 0 || value != prohibited && value != commandsOnly {
		return nil
	}
	asks := func(list []string) bool { return slices.Contains(list, kbd) || slices.Contains(list, "password") }
	f := finding.Finding{Severity: finding.Warning, ID: "sshd-root-not-asked",
		Fix: "PermitRootLogin no, so that people come by their own names and become root by sudo or su; or PermitRootLogin yes with AuthenticationMethods publickey,keyboard-interactive:pam"}
	switch {
	case slices.ContainsFunc(lists, func(list []string) bool { return !asks(list) }):
		f.What = "Root has a code, and PermitRootLogin is " + value + "."
		f.Follows = "sshd lets root in by a key, and never asks for the code: it leaves root no method that asks."
	case slices.ContainsFunc(lists, func(list []string) bool { return asks(list) && slices.Contains(list, "publickey") }):
		f.Severity = finding.Note
		f.What = "AuthenticationMethods wants a key and then a code, and PermitRootLogin is " + value + "."
		f.Follows = "Root does not get in by ssh, with the right code neither: it leaves root no method that asks."
	default:
		return nil
	}
	return []finding.Finding{v.about(permitRoot, f)}
}

// names is about rules by address where sshd gives PAM names in place of addresses.
func (v view) names() []finding.Finding {
	if !v.on("usedns") || v.match != nil {
		return nil
	}
	var rules []string
	if len(v.Policy.TrustedNetworks) > 0 {
		rules = append(rules, "who comes from policy.trusted_networks is asked for a code all the same")
	}
	if v.Policy.SessionFor(v.stack.Protocol) > 0 {
		rules = append(rules, "no login is remembered")
	}
	for _, match := range v.matches() {
		if slices.ContainsFunc(match.criteria(), func(c criterion) bool { return c.kind == "host" }) {
			rules = append(rules, "Match "+match.value+" goes by what the DNS of whoever comes says")
		}
	}
	if len(rules) == 0 {
		return nil
	}
	return []finding.Finding{v.about("usedns", finding.Finding{Severity: finding.Warning, ID: "sshd-names",
		What:    "UseDNS is yes, and there are rules by address or by host.",
		Follows: "Of an address that has a name sshd tells PAM the name: " + strings.Join(rules, "; ") + "; wrong codes are counted for that name.",
		Fix:     "UseDNS no, as OpenSSH has it by default; and Match Address in place of Match Host."})}
}
