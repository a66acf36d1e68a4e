package servers

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// saslauthdSettings are the files of shell variables with its options: Debian's,
// of which an instance has one each, and RHEL's.
var saslauthdSettings = regexp.MustCompile(`^/etc/(default/saslauthd[A-Za-z0-9_-]*|sysconfig/saslauthd)$`)

// saslauthdUnits are where an admin's own command line may stand.
var saslauthdUnits = []string{"/etc/systemd/system/saslauthd*.service", "/etc/systemd/system/saslauthd*.service.d/*.conf"}

// saslauthdInit is what starts it where systemd has no unit of it, as in Debian
// 12: only if START=yes, and with a cache if no options are set.
const saslauthdInit = "/etc/init.d/saslauthd"

// saslServices are PAM services that programs which use saslauthd name.
var saslServices = []string{
	"smtp", "submission", "lmtp", "imap", "pop", "pop3", "sieve", "nntp", "mupdate", "http", "ldap", "xmpp", "svn", "libvirt", "vnc", "memcached", "mongodb",
}

// saslauthd finds its cache, which takes a used code again: it does not ask PAM
// as long as it remembers what that said.
func (e *exam) saslauthd() {
	services := e.saslGuarded()
	e.saslMechanisms(services)
	if len(services) == 0 {
		return
	}
	for _, pattern := range append([]string{"/etc/default/saslauthd*", "/etc/sysconfig/saslauthd"}, saslauthdUnits...) {
		for _, path := range e.machine.Glob(pattern) {
			var remembers pamstack.Place
			var why string
			if strings.HasPrefix(path, "/etc/systemd/") {
				remembers, why = e.saslUnit(path)
			} else if saslauthdSettings.MatchString(path) {
				remembers, why = e.saslSettings(path)
			}
			if why != "" {
				e.add(finding.At(remembers, finding.Finding{Severity: finding.Warning, ID: "mail-remembered", Services: services,
					What:    "saslauthd remembers what PAM said: " + why + ".",
					Follows: "As long as that lasts (-t, 8 hours) a field with a used code gets in, from everywhere and without a line in the log.",
					Fix:     `Leave -c out, as in OPTIONS="-m /var/run/saslauthd", and restart saslauthd; each login then takes a new code: see docs/recipes.md.`}))
			}
		}
	}
}

// saslGuarded are the services of such programs that ask for a code.
func (e *exam) saslGuarded() (services []string) {
	for _, s := range e.stacks {
		if len(s.Checks) > 0 && slices.Contains(saslServices, s.Service) {
			services = append(services, s.Service)
		}
	}
	return services
}

// saslSettings says whether and where a file of variables has a cache made. Of two
// lines of a variable the last one counts.
func (e *exam) saslSettings(path string) (place pamstack.Place, why string) {
	place = pamstack.Place{File: path, Line: 1}
	values := map[string]string{}
	for at, line := range target.Lines(e.machine.Root, path, 0) {
		key, value, set := strings.Cut(line, "=")
		if !set || strings.HasPrefix(key, "#") {
			continue
		}
		values[key] = unquoted(value)
		if key == "OPTIONS" || key == "FLAGS" {
			place = at
		}
	}
	options := readSASL(strings.Fields(values["OPTIONS"] + " " + values["FLAGS"]))
	byInit := e.saslByInit(path)
	switch {
	case !strings.Contains(cmp.Or(options.mechanism, values["MECHANISMS"], values["MECH"]), "pam"), byInit && values["START"] != "yes":
		return place, ""
	case options.cache:
		return place, "-c"
	case byInit && values["OPTIONS"] == "":
		return place, "OPTIONS is empty, and " + saslauthdInit + " then says -c"
	}
	return place, ""
}

// saslByInit says whether the script starts what the file describes.
func (e *exam) saslByInit(path string) bool {
	if !strings.HasPrefix(path, "/etc/default/") || !e.machine.Has(saslauthdInit) {
		return false
	}
	for _, dir := range []string{"/etc/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"} {
		if e.machine.Has(dir + "saslauthd.service") {
			return false
		}
	}
	return true
}

// saslUnit says whether and where a unit's own command line has a cache made.
// What it takes from variables is in their file.
func (e *exam) saslUnit(path string) (place pamstack.Place, why string) {
	whole := ""
	var first pamstack.Place
	for at, line := range target.Lines(e.machine.Root, path, 0) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue // also between the parts of a line
		}
		if whole == "" {
			first = at
		}
		part, goesOn := strings.CutSuffix(line, "\\")
		if whole += part + " "; goesOn {
			continue
		}
		key, command, found := strings.Cut(whole, "=")
		if whole = ""; !found || strings.TrimSpace(key) != "ExecStart" {
			continue
		}
		place, why = pamstack.Place{}, "" // the last one counts
		words := strings.Fields(command)
		if len(words) == 0 || filepath.Base(words[0]) != "saslauthd" {
			continue
		}
		options := readSASL(words[1:])
		if options.cache && (strings.Contains(options.mechanism, "pam") || strings.Contains(options.mechanism, "$")) {
			place, why = first, "-c"
		}
	}
	return place, why
}
