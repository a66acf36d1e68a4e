package servers

import (
	"os"
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// pureFTPDService is what pure-ftpd asks PAM for, always.
const pureFTPDService = "pure-ftpd"

// pureFTPDAuth is where Debian has links to the files of the ways to log in that are
// on; without it the options stand in one file.
const pureFTPDAuth = "/etc/pure-ftpd/auth"

// pureFTPDFiles are those files elsewhere.
var pureFTPDFiles = []string{"/etc/pure-ftpd/pure-ftpd.conf", "/etc/pure-ftpd.conf"}

// pureFTPDWays are its ways to log in, by their names in files and in options.
var pureFTPDWays = map[string]string{"PAMAuthentication": "pam", "UnixAuthentication": "unix", "PureDB": "puredb", "LDAPConfigFile": "ldap",
	"MySQLConfigFile": "mysql", "PGSQLConfigFile": "pgsql", "ExtAuth": "extauth"}

// pureFTPDWay is one that is on.
type pureFTPDWay struct {
	pamstack.Position
	kind, name string
}

// pureFTPD finds ways to log in beside PAM: it asks all, and the first yes counts.
func (e *exam) pureFTPD() {
	if !slices.ContainsFunc(e.stacks, func(s authstack.Stack) bool { return s.Service == pureFTPDService && len(s.Checks) > 0 }) {
		return
	}
	for _, way := range append(e.pureFTPDConfigured(), e.pureFTPDStarted()...) {
		f := finding.Finding{Severity: finding.Error, ID: passwordAlone, Services: []string{pureFTPDService},
			What:    way.name + " is on: pure-ftpd looks into /etc/shadow by itself, before PAM or when PAM has refused somebody.",
			Follows: "The password alone gets in, whatever the code was.",
			Fix:     "Turn " + way.name + " off, so that PAM is asked alone."}
		switch way.kind {
		case "pam":
			continue
		case "unix":
		case "ldap":
			f.What = way.name + " is on: pure-ftpd asks a directory by itself, before PAM or when PAM has refused somebody."
		default:
			f.Severity, f.ID = finding.Warning, otherPasswords
			f.What = way.name + " is on: pure-ftpd has users beside PAM's."
			f.Follows = "Whoever has a password there gets in with that alone."
		}
		e.add(finding.At(way.Position, f))
	}
}

// pureFTPDConfigured are those that its files turn on.
func (e *exam) pureFTPDConfigured() (on []pureFTPDWay) {
	if e.machine.Has(pureFTPDAuth) {
		for _, link := range e.machine.Glob(pureFTPDAuth + "/*") {
			to, err := os.Readlink(e.machine.Root + link)
			if err != nil {
				continue // what is no link it passes over
			}
			if !path.IsAbs(to) {
				to = path.Join(pureFTPDAuth, to)
			}
			for place, line := range target.Lines(e.machine.Root, to, 0) {
				if kind, known := pureFTPDWays[path.Base(to)]; known && line != "" && line[0] != '#' && isOn(kind, line) {
					on = append(on, pureFTPDWay{place, kind, path.Base(to)})
				}
			}
		}
		return on
	}
	for _, file := range pureFTPDFiles {
		for place, line := range target.Lines(e.machine.Root, file, 0) {
			if words := strings.Fields(line); len(words) > 1 && pureFTPDWays[words[0]] != "" && isOn(pureFTPDWays[words[0]], words[1]) {
				on = append(on, pureFTPDWay{place, pureFTPDWays[words[0]], words[0]})
			}
		}
	}
	return on
}

// isOn says whether a setting turns a way on: a file, or yes.
func isOn(kind, value string) bool {
	return kind != "pam" && kind != "unix" || slices.Contains([]string{"yes", "on", "1", "true"}, strings.ToLower(value))
}

// pureFTPDStarted are those of its command line: -l unix.
func (e *exam) pureFTPDStarted() (on []pureFTPDWay) {
	for _, service := range unit.Services(e.machine.Root, "pure-ftpd") {
		for _, command := range service.Commands {
			for i, word := range command.Words {
				value, ok := strings.CutPrefix(word.Text, "--login=")
				if (word.Text == "-l" || word.Text == "--login") && i+1 < len(command.Words) {
					value, ok = command.Words[i+1].Text, true
				}
				if kind, _, _ := strings.Cut(value, ":"); ok && kind != "" {
					on = append(on, pureFTPDWay{word.Position, kind, "-l " + value})
				}
			}
		}
	}
	return on
}
