package servers

import (
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// mailProtocols are files by which dovecot knows a protocol, by the service that
// "%s" makes of that.
var mailProtocols = map[string]string{"imap": "imapd", "pop3": "pop3d", "submission": "submissiond", "sieve": "managesieved"}

// mailNames are those that dovecot's passdbs name.
func (e *exam) mailNames() (all []Named) {
	for _, p := range e.mail.passdbs {
		for _, service := range p.services {
			each := len(p.services) > 1 // of all protocols, of which some are not there
			off := e.mail.protocols != nil && !slices.Contains(e.mail.protocols, service)
			if file := mailProtocols[service]; each && (off || !e.machine.Has("/usr/share/dovecot/protocols.d/"+file+".protocol")) {
				continue
			}
			all = append(all, Named{p.Position, "dovecot", service, !each && service == authstack.MailService})
		}
	}
	return all
}

// saslNames are those that programs have saslauthd ask PAM for.
func (e *exam) saslNames() (all []Named) {
	asks := slices.ContainsFunc(e.saslInForce(), func(m saslMechanism) bool { return m.started && !m.off && m.name == "pam" })
	if !asks {
		return nil
	}
	for _, program := range saslPrograms {
		for place, line := range target.Lines(e.machine.Root, program.files, 0) {
			key, value, _ := strings.Cut(line, ":")
			if strings.TrimSpace(key) == program.key && slices.Contains(strings.Fields(strings.ToLower(value)), "saslauthd") {
				all = append(all, Named{place, "saslauthd", program.services[0], true})
			}
		}
	}
	return all
}

// radiusModules are files that make FreeRADIUS's module for PAM.
var radiusModules = []string{"/etc/freeradius/3.0/mods-enabled/*", "/etc/freeradius/mods-enabled/*", "/etc/freeradius/modules/*", "/etc/raddb/mods-enabled/*",
	"/etc/raddb/modules/*", "/etc/freeradius/3.0/radiusd.conf", "/etc/freeradius/radiusd.conf", "/etc/raddb/radiusd.conf"}

// radiusSites are files that may have it asked.
var radiusSites = []string{"/etc/freeradius/3.0/sites-enabled/*", "/etc/freeradius/sites-enabled/*", "/etc/raddb/sites-enabled/*",
	"/etc/freeradius/3.0/policy.d/*", "/etc/freeradius/policy.d/*", "/etc/raddb/policy.d/*",
	"/etc/freeradius/3.0/radiusd.conf", "/etc/freeradius/radiusd.conf", "/etc/raddb/radiusd.conf"}

var (
	radiusBlock = regexp.MustCompile(`^pam(?:\s+(\S+?))?\s*\{`)
	radiusName  = regexp.MustCompile(`\bpam_auth\s*=\s*"?([^"\s}]+)`)
)

// radiusNames are those that FreeRADIUS's module names, if a site asks it.
func radiusNames(m *target.Machine) (all []Named) {
	if !radiusAsks(m) {
		return nil
	}
	for _, pattern := range radiusModules {
		for _, file := range m.Glob(pattern) {
			for place, line := range target.Lines(m.Root, file, 0) {
				if found := radiusName.FindStringSubmatch(line); found != nil && !strings.HasPrefix(line, "#") {
					all = append(all, Named{place, "FreeRADIUS", found[1], false})
				}
			}
		}
	}
	return all
}

// radiusAsks says whether FreeRADIUS has its module for PAM, and a site that asks it, by
// the module's name or by one that it was given.
func radiusAsks(m *target.Machine) bool {
	modules := []string{"pam"}
	radiusHas(m, radiusModules, func(line string) bool {
		if found := radiusBlock.FindStringSubmatch(line); found != nil {
			modules = append(modules, found[1])
		}
		return false // so that all lines are looked at
	})
	if len(modules) == 1 {
		return false
	}
	return radiusHas(m, radiusSites, func(line string) bool {
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t{}", r) })
		return !radiusBlock.MatchString(line) && slices.ContainsFunc(words, func(word string) bool { return slices.Contains(modules, word) })
	})
}

// radiusHas says whether one of the files has such a line.
func radiusHas(m *target.Machine, patterns []string, is func(line string) bool) bool {
	for _, pattern := range patterns {
		for _, file := range m.Glob(pattern) {
			for _, line := range target.Lines(m.Root, file, 0) {
				if !strings.HasPrefix(line, "#") && is(line) {
					return true
				}
			}
		}
	}
	return false
}
