package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/servers"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/doctor/withoutcode"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// withoutCode finds services that take a password and ask for no code, where others ask
// and there is somebody to be asked.
func (e *exam) withoutCode(ctx context.Context) {
	if len(e.Services) > 0 || len(e.stacks) == 0 || len(e.enrolled)+len(e.settings.Policy.Require) == 0 {
		return
	}
	m := withoutcode.Machine{Idle: e.idle, Guarded: e.stacks, Policy: e.settings.Policy, Known: map[string]bool{e.settings.SFTP.PAMService: true}}
	named := e.askedFor(ctx)
	for _, n := range named {
		if n.Program != "squid" { // a proxy lets nobody in here
			m.Servers = append(m.Servers, n.Service)
		}
	}
	for _, f := range e.findings {
		for _, service := range f.Services {
			m.Known[service] = true
		}
	}
	for _, name := range e.candidates {
		s, err := authstack.Load(e.tree, name, e.settings)
		switch {
		case err != nil || s.Asks() || name == "sshd" && !e.sshdTakesPasswords(ctx):
		case servers.Unused(&e.Machine, e.mail, name), e.ways.Unused(name):
		default:
			m.Others = append(m.Others, s)
		}
	}
	e.standIns(&m, append(named, servers.Fixed(&e.Machine)...))
	e.findings = append(e.findings, withoutcode.Examine(m)...)
}

// idle says whether nothing brings passwords from the network to a service whose
// file is there all the same: cockpit's packages come with a socket that is off,
// and those of mail servers with files for saslauthd, which few have.
func (e *exam) idle(service string) bool {
	has := func(paths ...string) bool { return slices.ContainsFunc(paths, e.Machine.Has) }
	switch {
	case service == "cockpit":
		return unit.Idle(e.Machine.Root, "cockpit.service")
	case slices.Contains(authstack.MailServices, service):
		return !has("/etc/dovecot/dovecot.conf", "/usr/sbin/saslauthd", "/etc/default/saslauthd", "/etc/sysconfig/saslauthd", "/etc/imapd.conf", "/etc/courier")
	}
	return false
}

// matchTakesPasswords says whether sshd's files turn passwords on under a Match.
func (e *exam) matchTakesPasswords() bool {
	for _, file := range append(e.Machine.Glob("/etc/ssh/sshd_config.d/*.conf"), target.SSHDConfig) {
		within := false
		for _, line := range target.Lines(e.Machine.Root, file, 0) {
			words := strings.Fields(strings.ToLower(strings.ReplaceAll(line, "=", " ")))
			if len(words) < 2 {
				continue
			}
			within = within || words[0] == "match"
			takes := []string{"passwordauthentication", "kbdinteractiveauthentication", "challengeresponseauthentication"}
			if within && words[1] == "yes" && slices.Contains(takes, words[0]) {
				return true
			}
		}
	}
	return false
}

// sshdTakesPasswords says whether sshd gives passwords to the service sshd. In
// doubt it does.
func (e *exam) sshdTakesPasswords(ctx context.Context) bool {
	text, err := e.Machine.InForce(ctx)
	if err != nil {
		return !errors.Is(err, target.ErrNoSSHD)
	}
	password, kbd, methods, service := true, true, "", "sshd"
	for line := range strings.Lines(strings.ToLower(text)) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch keyword {
		case "passwordauthentication":
			password = value == "yes"
		case "kbdinteractiveauthentication":
			kbd = value == "yes"
		case "authenticationmethods":
			methods += " " + value
		case "pamservicename":
			service = value
		}
	}
	named := func(method string) bool {
		return methods == "" || methods == " any" || strings.Contains(methods, method)
	}
	if service == "sshd" && e.matchTakesPasswords() {
		return true
	}
	return service == "sshd" && (password && named("password") || kbd && named("keyboard-interactive"))
}

// askedFor are the PAM services that servers of the network name in their configurations.
func (e *exam) askedFor(ctx context.Context) []servers.Named {
	all := servers.AskFor(&e.Machine, e.mail)
	text, err := e.Machine.InForce(ctx)
	if err != nil {
		return all // which is said of sshd
	}
	for line := range strings.Lines(strings.ToLower(text)) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "pamservicename "); found && name != "sshd" {
			all = append(all, servers.Named{Position: pamstack.Position{File: target.SSHDConfig}, Program: "sshd", Service: name})
		}
	}
	return all
}

// standIns adds the services that programs ask for and that are no file which counts as
// one: there is none, or it is there to be included, or somebody's copy.
func (e *exam) standIns(m *withoutcode.Machine, named []servers.Named) {
	seen := map[string]bool{}
	for _, n := range named {
		if seen[n.Service] || slices.Contains(e.candidates, n.Service) || e.ways.Unused(n.Service) {
			continue
		}
		seen[n.Service] = true
		s, err := authstack.Load(e.tree, n.Service, e.settings)
		switch {
		case err != nil || s.Asks():
		case s.File != "":
			m.Others = append(m.Others, s)
		default:
			m.ByOther = append(m.ByOther, withoutcode.ByOther{Position: n.Position, Stack: s, Program: n.Program, BuiltIn: n.BuiltIn})
		}
	}
}
