package sshd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// defaultService is the PAM service of an sshd that names no other.
const defaultService = "sshd"

// pamServiceName is the keyword of OpenSSH 9.8 and later that names another.
const pamServiceName = "pamservicename"

// service is the one that these logins ask PAM for. An older sshd does not say
// it, and has the one that its program is called by.
func (v view) service() string {
	if name := v.values[pamServiceName]; name != "" {
		return strings.ToLower(name) // as pam_start(3)
	}
	return v.serviceName()
}

// concerned says whether a service that is examined may be the daemon's, or the
// one that it seems to have.
func (v view) concerned() bool {
	return v.named() || slices.ContainsFunc(v.Stacks, func(s authstack.Stack) bool { return s.Service == defaultService })
}

// named says whether its files or its program's name tell of a service that is
// examined.
func (v view) named() bool {
	known := slices.ContainsFunc(v.settings, func(w setting) bool { return w.keyword == pamServiceName })
	return slices.ContainsFunc(v.Stacks, func(s authstack.Stack) bool {
		return !known && s.Service == v.serviceName() || slices.ContainsFunc(v.settings, func(w setting) bool {
			return w.keyword == pamServiceName && strings.EqualFold(strings.Trim(w.value, `"`), s.Service)
		})
	})
}

// examine looks at the stack that these logins come to. What is examined is
// that stack, or the service sshd, which seems to be it.
func (v view) examine() []finding.Finding {
	name := v.service()
	for _, s := range v.Stacks {
		if s.Service == name {
			v.stack = s
			return v.check()
		}
	}
	if !slices.ContainsFunc(v.Stacks, func(s authstack.Stack) bool { return s.Service == defaultService }) {
		return nil
	}
	stack, err := v.Load(name)
	stack.Service = name
	if v.stack = stack; err == nil && stack.Asks() {
		return v.check()
	}
	if !v.on("usepam") {
		return v.check()
	}
	f := v.about(pamServiceName, finding.Finding{Severity: finding.Error, ID: "sshd-other-service",
		What:    fmt.Sprintf("sshd asks PAM for the service %s, and no line of that calls %s.", name, authstack.ModuleName),
		Follows: "Nobody is asked for a code by sshd: what is in /etc/pam.d/sshd counts for nothing.",
		Fix:     fmt.Sprintf("otpctl pam enable %s --argument protocol=ssh, or take PAMServiceName out.", name)})
	if v.values[pamServiceName] == "" {
		f.File, f.Line = v.File, v.Line
		f.Fix = fmt.Sprintf("otpctl pam enable %s --argument protocol=ssh, or start it as /usr/sbin/sshd: before OpenSSH 9.8 the service is called as the program is.", name)
	}
	return []finding.Finding{f}
}
