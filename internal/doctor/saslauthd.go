package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// saslauthdConfigs are where its options stand: Debian's, one file for each
// instance, and RHEL's.
var saslauthdConfigs = []string{"/etc/default/saslauthd*", "/etc/sysconfig/saslauthd"}

// cacheOption is -c among options, also with others behind one dash.
var cacheOption = regexp.MustCompile(`(^|[\s"'=])-[A-Za-z]*c`)

// saslauthd finds its cache, which takes a used code again: it does not ask PAM
// as long as it remembers what that said.
func (e *exam) saslauthd() {
	mechanism := regexp.MustCompile(`(?m)^\s*MECH(ANISMS)?\s*=.*\bpam\b`)
	for _, pattern := range saslauthdConfigs {
		paths, err := filepath.Glob(e.Machine.Root + pattern)
		if err != nil {
			continue
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err == nil && mechanism.Match(data) {
				e.saslCache(strings.TrimPrefix(path, e.Machine.Root), string(data))
			}
		}
	}
}

// saslServices are PAM services that programs which use saslauthd name.
var saslServices = []string{"smtp", "imap", "pop", "sieve", "ldap", "xmpp", "svn", "mupdate", "nntp"}

func (e *exam) saslCache(path, text string) {
	var services []string
	for _, s := range e.stacks {
		if len(s.Checks) > 0 && slices.Contains(saslServices, s.Service) {
			services = append(services, s.Service)
		}
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if len(services) == 0 || key != "OPTIONS" && key != "FLAGS" || !cacheOption.MatchString(value) {
			continue
		}
		e.add(at(pamstack.Place{File: path, Line: number}, Finding{Severity: Warning, ID: "mail-remembered", Services: services,
			What:    "saslauthd remembers what PAM said: -c.",
			Follows: "As long as that lasts (-t, 8 hours) a field with a used code gets in, from everywhere, whatever the policy says.",
			Fix:     "Take -c out; let otpgate remember the login instead, see docs/recipes.md."}))
	}
}
