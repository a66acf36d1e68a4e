package servers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// webUsers and radiusUsers are the files that say as whom servers run PAM, and the word
// before the user.
var (
	webUsers = map[string]string{
		"/etc/apache2/envvars": "APACHE_RUN_USER", "/etc/apache2/uid.conf": "User", "/etc/httpd/conf/httpd.conf": "User", "/etc/apache2/httpd.conf": "User",
		"/etc/nginx/nginx.conf": "user",
	}
	radiusUsers = map[string]string{"/etc/freeradius/3.0/radiusd.conf": "user", "/etc/freeradius/radiusd.conf": "user", "/etc/raddb/radiusd.conf": "user"}
)

// NotAllowed finds that the verifier does not take the word of a server that is not root
// for others, as verifier.allow does not name its user. config is the file that would.
func NotAllowed(m *target.Machine, s authstack.Stack, config string, allow []string) (f finding.Finding, ok bool) {
	files := webUsers
	if s.Service == "radiusd" || s.Service == "freeradius" {
		named := radiusNames(m)
		if !radiusHas(m, radiusModules, radiusBlock.MatchString) || len(named) > 0 && !slices.ContainsFunc(named, func(n Named) bool { return n.Service == s.Service }) {
			return f, false
		}
		files = radiusUsers
	} else if !authstack.OfWebServer(s.Service, s.Protocol) || !namedByWeb(m, s.Service) {
		return f, false // squid's helper and others may run it as root
	}
	place, user := runsAs(m, files)
	if user == "root" || slices.Contains(allow, user) || user == "" && len(allow) > 0 {
		return f, false
	}
	f = finding.Finding{Severity: finding.Error, ID: "verifier-not-allowed", Services: []string{s.Service}, File: config,
		What:    "verifier.allow = " + "[" + strings.Join(quoted(allow), ", ") + "]" + " does not name " + user + ", as whom " + place.String() + " has the server run PAM.",
		Follows: "The verifier does not take its word for anybody else: every login through " + s.Service + " is denied.",
		Fix:     fmt.Sprintf("Write in [verifier]: allow = [%s]", strings.Join(append(quoted(allow), fmt.Sprintf("%q", user)), ", "))}
	text, _ := target.Read("", config) // without it no line is named
	f.Line = finding.LineOf(text, "allow")
	if user == "" {
		f.What = "verifier.allow names nobody, and the server of " + s.Service + " does not run PAM as root."
		f.Fix = "Name its user in [verifier], such as: " + `allow = ["www-data"]`
	}
	return f, true
}

// namedByWeb says whether Apache or nginx asks PAM for a service.
func namedByWeb(m *target.Machine, service string) bool {
	for _, pattern := range webFiles {
		for _, file := range m.Glob(pattern) {
			for _, line := range target.Lines(m.Root, file, 0) {
				words := strings.Fields(strings.TrimRight(line, ";"))
				if len(words) > 1 && slices.Contains([]string{"authpamservice", "auth_pam_service_name"}, strings.ToLower(words[0])) && strings.Trim(words[1], `"'`) == service {
					return true
				}
			}
		}
	}
	return false
}

func quoted(names []string) (all []string) {
	for _, name := range names {
		all = append(all, fmt.Sprintf("%q", name))
	}
	return all
}

// runsAs is the user that the first of these files names.
func runsAs(m *target.Machine, files map[string]string) (at pamstack.Position, user string) {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for place, line := range target.Lines(m.Root, file, 0) {
			words := strings.FieldsFunc(strings.TrimPrefix(line, "export "), func(r rune) bool { return strings.ContainsRune(" \t=;\"'", r) })
			if len(words) == 2 && words[0] == files[file] {
				return place, words[1]
			}
		}
	}
	return at, ""
}
