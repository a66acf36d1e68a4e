package servers

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

const (
	squidConfig = "/etc/squid/squid.conf"
	// squidService is what its helper names if it is not told otherwise.
	squidService = "squid"
)

var (
	squidInclude = regexp.MustCompile(`(?i)^include\s+(\S+)`)
	squidHelper  = regexp.MustCompile(`(?i)^auth_param\s+basic\s+program\s+(.*\bbasic_pam_auth\b.*|.*/pam_auth\b.*)$`)
	squidTime    = regexp.MustCompile(`(?i)^auth_param\s+basic\s+credentialsttl\s`)
	// Without -s others are refused at times, and with a greater number there is room
	// for them.
	squidBound = regexp.MustCompile(`(?i)^acl\s+(\S+)\s+max_user_ip\s+-s\s+1$`)
	// Without it the address is forgotten after a second.
	squidBoundTime = regexp.MustCompile(`(?i)^authenticate_ip_ttl\s`)
)

// squid finds that it remembers fields, which it does by itself: for as long as
// is said, or two hours, and unless they are bound to one, from every address.
func (e *exam) squid() {
	helper, service := e.squidHelper()
	bounds, denied, said, kept := []string{}, []string{}, false, false
	e.squidLines(squidConfig, 0, func(_ pamstack.Position, line string) {
		if found := squidBound.FindStringSubmatch(line); found != nil {
			bounds = append(bounds, found[1])
		}
		if words := strings.Fields(line); len(words) == 3 && strings.EqualFold(words[0], "http_access") && words[1] == "deny" {
			denied = append(denied, words[2])
		}
		said, kept = said || squidTime.MatchString(line), kept || squidBoundTime.MatchString(line)
	})
	asked := slices.ContainsFunc(e.stacks, func(s authstack.Stack) bool { return len(s.Checks) > 0 && s.Service == service })
	bound := kept && slices.ContainsFunc(bounds, func(name string) bool { return slices.Contains(denied, name) })
	if service == "" || !asked || said && bound {
		return
	}
	what := "squid remembers each field for two hours, as credentialsttl does not say otherwise"
	if said {
		what = "squid remembers each field as long as credentialsttl says"
	}
	if !bound {
		what += ", and takes it from every address"
	}
	e.add(finding.At(helper, finding.Finding{Severity: finding.Warning, ID: "proxy-remembered", Services: []string{service},
		What:    what + ".",
		Follows: "As long as that lasts a field with a used code gets in, whatever the policy says, and without a line in the log.",
		Fix:     "credentialsttl and authenticate_ip_ttl of your choice, and an acl of max_user_ip -s 1 that is denied ahead of what is allowed: see docs/recipes.md."}))
}

// squidHelper is where squid is told to ask PAM, and for which service: "" if it is not.
func (e *exam) squidHelper() (helper pamstack.Position, service string) {
	e.squidLines(squidConfig, 0, func(place pamstack.Position, line string) {
		if found := squidHelper.FindStringSubmatch(line); found != nil {
			helper, service = place, squidServiceOf(strings.Fields(found[1]))
		}
	})
	return helper, service
}

// squidLines gives each line of a file and of those that it includes.
func (e *exam) squidLines(file string, depth int, line func(pamstack.Position, string)) {
	for place, text := range target.Lines(e.machine.Root, file, depth) {
		text, _, _ = strings.Cut(text, " #")
		if found := squidInclude.FindStringSubmatch(text); found != nil {
			for _, included := range e.machine.Glob(found[1]) {
				e.squidLines(included, depth+1, line)
			}
			continue
		}
		line(place, strings.TrimSpace(text))
	}
}

// squidServiceOf is what the helper's arguments name.
func squidServiceOf(words []string) string {
	for i, word := range words {
		name, found := strings.CutPrefix(word, "-n")
		if !found || i == 0 {
			continue
		}
		if name == "" && i+1 < len(words) {
			name = words[i+1]
		}
		return filepath.Base(name)
	}
	return squidService
}
