package servers

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// saslOwn are saslauthd's mechanisms that know the passwords of PAM by themselves.
var saslOwn = []string{"shadow", "getpwent", "sia", "ldap", "kerberos5", "kerberos4", "rimap", "httpform"}

// saslMechanism is one that an instance has in force.
type saslMechanism struct {
	pamstack.Position
	name string
	// started says that the machine starts it, and off that it is told not to.
	started, off bool
}

// saslMechanisms finds instances that do not ask PAM. Where no service of mail has
// the line that is so at one that is started.
func (e *exam) saslMechanisms(guarded []string) {
	for _, m := range e.saslInForce() {
		own := slices.Contains(saslOwn, m.name)
		switch {
		case m.off || m.name == "" || m.name == "pam" || strings.Contains(m.name, "$"):
		case len(guarded) == 0 && (!own || !m.started || len(e.stacks) == 0):
		default:
			f := finding.Finding{Severity: finding.Error, ID: passwordAlone, Services: guarded,
				What:    "saslauthd does not ask PAM: its mechanism is " + m.name + ".",
				Follows: "The password alone gets in, whatever the lines of PAM's services say.",
				Fix:     "Have it ask PAM: -a pam, or MECHANISMS=\"pam\" on Debian and MECH=pam elsewhere; then restart saslauthd."}
			if len(guarded) == 0 {
				f.Severity = finding.Warning
				f.Follows = "Who has a password gets in with that alone at whatever asks saslauthd, such as a mail server."
			}
			if !own {
				f.Severity, f.ID = finding.Warning, otherPasswords
				f.Follows = "Whoever has a password there gets in with that alone."
			}
			e.add(finding.At(m.Position, f))
		}
	}
}

// saslInForce are the mechanisms of its files of variables and of its units.
func (e *exam) saslInForce() (found []saslMechanism) {
	enabled := unit.Enabled(e.machine.Root, "saslauthd.service")
	for _, pattern := range []string{"/etc/default/saslauthd*", "/etc/sysconfig/saslauthd", "/etc/conf.d/saslauthd"} {
		for _, file := range e.machine.Glob(pattern) {
			if saslauthdSettings.MatchString(file) || strings.HasPrefix(file, "/etc/conf.d/") {
				found = append(found, e.saslOfFile(file, enabled))
			}
		}
	}
	for _, service := range unit.Services(e.machine.Root, "saslauthd") {
		for _, command := range service.Commands {
			words := texts(command)
			if len(words) > 0 && filepath.Base(words[0]) == "saslauthd" {
				m := saslMechanism{Position: command.Position, name: readSASL(words[1:]).mechanism, started: unit.Enabled(e.machine.Root, service.Name)}
				same := func(other saslMechanism) bool { return other.name == m.name }
				if !slices.ContainsFunc(found, same) { // what it takes from variables is in their file
					found = append(found, m)
				}
			}
		}
	}
	return found
}

// saslOfFile is what a file of variables says.
func (e *exam) saslOfFile(file string, enabled bool) (m saslMechanism) {
	m.started = enabled
	values := map[string]string{}
	for place, line := range target.Lines(e.machine.Root, file, 0) {
		key, value, set := strings.Cut(line, "=")
		if !set || strings.HasPrefix(key, "#") {
			continue
		}
		values[key] = unquoted(value)
		switch {
		case key == "START":
			m.started = m.started || values[key] == "yes"
			m.off = !m.started
		case key == "MECHANISMS" || key == "MECH" || strings.Contains(value, "-a"):
			m.Position = place
		}
	}
	options := readSASL(strings.Fields(values["OPTIONS"] + " " + values["FLAGS"] + " " + values["SASLAUTHD_OPTS"]))
	m.name = cmp.Or(options.mechanism, values["MECHANISMS"], values["MECH"])
	return m
}
