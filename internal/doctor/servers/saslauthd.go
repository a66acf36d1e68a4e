package servers

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// saslauthdSettings are the files of shell variables with its options: Debian's,
// of which an instance has one each, and RHEL's.
var saslauthdSettings = regexp.MustCompile(`^/etc/(default/saslauthd[A-Za-z0-9_-]*|sysconfig/saslauthd)$`)

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
	tell := func(remembers pamstack.Position, why string) {
		if why != "" {
			e.add(finding.At(remembers, finding.Finding{Severity: finding.Warning, ID: "mail-remembered", Services: services,
				What:    "saslauthd remembers what PAM said: " + why + ".",
				Follows: "As long as that lasts (-t, 8 hours) a field with a used code gets in, from everywhere and without a line in the log.",
				Fix:     `Leave -c out, as in OPTIONS="-m /var/run/saslauthd", and restart saslauthd; each login then takes a new code: see docs/recipes.md.`}))
		}
	}
	for _, pattern := range []string{"/etc/default/saslauthd*", "/etc/sysconfig/saslauthd"} {
		for _, path := range e.machine.Glob(pattern) {
			if saslauthdSettings.MatchString(path) {
				tell(e.saslSettings(path))
			}
		}
	}
	for _, service := range unit.Services(e.machine.Root, "saslauthd") {
		for _, command := range service.Commands {
			tell(saslUnit(command))
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
func (e *exam) saslSettings(path string) (place pamstack.Position, why string) {
	place = pamstack.Position{File: path, Line: 1}
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
	return !unit.Exists(e.machine.Root, "saslauthd.service")
}

// saslUnit says whether and where a unit's own command line has a cache made. What
// it takes from variables of those files is told with them.
func saslUnit(command unit.Command) (place pamstack.Position, why string) {
	words := texts(command)
	if len(words) == 0 || filepath.Base(words[0]) != "saslauthd" {
		return pamstack.Position{}, ""
	}
	options := readSASL(words[1:])
	foreign := options.mechanism != "" && !strings.Contains(options.mechanism, "pam") && !strings.Contains(options.mechanism, "$")
	if !options.cache || foreign || saslauthdSettings.MatchString(command.Words[1+options.cacheAt].File) {
		return pamstack.Position{}, ""
	}
	return command.Position, "-c"
}

func texts(command unit.Command) (words []string) {
	for _, word := range command.Words {
		words = append(words, word.Text)
	}
	return words
}
