package sshd

import (
	"context"
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// choosers are sshd's settings that let some people in and others not, who may not be
// meant to come by ssh.
var choosers = []string{"allowusers", "allowgroups", "denyusers", "denygroups"}

// Passwordless finds people whom sshd cannot let in, as each way to log in takes a key and
// comes to a stack with a password, which they do not have. people are those who have
// enrolled. In doubt nothing is said, as where there are several daemons.
func (e Exam) Passwordless(ctx context.Context, people []string) []finding.Finding {
	all := daemons(e.Machine)
	if len(all) != 1 || !e.Machine.LocalFirst() {
		return nil
	}
	v := view{Exam: e, daemon: all[0], settings: settingsOf(e.Machine.Root, all[0])}
	text, err := v.ask(ctx, "")
	if err != nil || slices.ContainsFunc(v.settings, func(s setting) bool { return s.match != nil }) {
		return nil // which is said, or a Match may be about them
	}
	v.values = valuesOf(text)
	at := slices.IndexFunc(e.Stacks, func(s authstack.Stack) bool { return s.Service == v.service() })
	if at < 0 || !v.on("usepam") || slices.ContainsFunc(choosers, func(keyword string) bool { return v.values[keyword] != "" }) {
		return nil
	}
	v.stack = e.Stacks[at]
	if !v.wantsPassword() {
		return nil
	}
	return v.passwordless(people)
}

// wantsPassword says whether each way in takes a key and then a password that the machine's
// own files have.
func (v view) wantsPassword() bool {
	lists := v.lists()
	otherWay := func(list []string) bool {
		return !slices.Contains(list, "publickey") || !slices.Contains(list, kbd) && !slices.Contains(list, "password")
	}
	return len(lists) > 0 && !slices.ContainsFunc(lists, otherWay) && len(v.stack.Checks) > 0 &&
		!v.stack.LetsIn(authstack.Outcome{}) && v.stack.LetsIn(authstack.Outcome{Password: true}) &&
		slices.Equal(v.stack.PasswordModules(), []string{"pam_unix.so"})
}

func (v view) passwordless(people []string) []finding.Finding {
	people = slices.DeleteFunc(v.Machine.WithShell(people), func(name string) bool { return name == "root" && v.values[permitRoot] != "yes" })
	never := v.Machine.NeverHadPassword(people)
	if len(never) == 0 {
		return nil
	}
	f := finding.Finding{Severity: finding.Warning, ID: "sshd-no-password",
		What:    "sshd wants a key and then a password of PAM's stack, and these have enrolled and have none in /etc/shadow: " + finding.Some(never) + ".",
		Follows: "They do not get in by ssh, whatever key and code they have.",
		Fix:     "Take the password modules out of /etc/pam.d/" + v.stack.Service + ", so that it asks for the code alone behind the key, see docs/pam-stacks.md; or give them passwords: passwd " + never[0] + "."}
	return []finding.Finding{v.about("authenticationmethods", f)}
}
