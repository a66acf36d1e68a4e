package servers

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// webFiles are the configurations of Apache and of nginx that count.
var webFiles = []string{
	"/etc/apache2/apache2.conf", "/etc/apache2/sites-enabled/*", "/etc/apache2/conf-enabled/*", "/etc/apache2/conf.d/*.conf", "/etc/apache2/vhosts.d/*.conf",
	"/etc/httpd/conf/httpd.conf", "/etc/httpd/conf.d/*.conf", "/etc/httpd/conf/extra/*.conf",
	"/etc/nginx/nginx.conf", "/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*", "/etc/nginx/http.d/*.conf", "/etc/nginx/vhosts.d/*.conf",
}

// web finds what lets somebody in at a web server beside the PAM that it asks. It
// goes by files, each of which is mostly one site.
func (e *exam) web() {
	var services, all []string
	for _, s := range e.stacks {
		if len(s.Checks) == 0 {
			continue
		}
		all = append(all, s.Service)
		if slices.Contains([]config.Protocol{"http", "https", "webdav"}, s.Protocol) {
			services = append(services, s.Service)
		}
	}
	if len(all) == 0 {
		return
	}
	for _, pattern := range webFiles {
		for _, file := range e.machine.Glob(pattern) {
			e.webFile(file, services, all)
		}
	}
}

// webFile looks at one file, if that asks PAM for a service that it names among all that
// ask for codes, or for those of web servers.
func (e *exam) webFile(file string, services, all []string) {
	asks := false
	var named []string
	var any, providers pamstack.Position
	var others []string
	for place, line := range target.Lines(e.machine.Root, file, 0) {
		words := strings.Fields(strings.ToLower(strings.TrimRight(line, ";")))
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "authpamservice", "auth_pam_service_name":
			asks = true
			named = append(named, strings.Trim(words[1], `"'`))
		case "auth_pam":
			asks = asks || words[1] != "off"
		case "satisfy":
			if words[1] == "any" {
				any = place
			}
		case "authbasicprovider":
			if !slices.Contains(words[1:], "pam") {
				continue
			}
			providers, asks = place, true
			others = slices.DeleteFunc(words[1:], func(name string) bool { return name == "pam" })
		}
	}
	if len(named) > 0 {
		services = slices.DeleteFunc(slices.Clone(all), func(service string) bool { return !slices.Contains(named, service) })
	}
	if len(services) == 0 {
		return
	}
	if asks && len(others) > 0 {
		e.add(finding.At(providers, finding.Finding{Severity: finding.Warning, ID: otherPasswords, Services: services,
			What:    "Apache asks " + strings.Join(others, ", ") + " beside PAM.",
			Follows: "Whoever has a password there gets in with that alone.",
			Fix:     "Write AuthBasicProvider PAM. If these are passwords for programs that cannot be asked, leave it."}))
	}
	if asks && any.File != "" {
		e.add(finding.At(any, finding.Finding{Severity: finding.Warning, ID: "web-past-pam", Services: services,
			What:    "By satisfy any the server lets in whoever passes another rule of it, such as one of addresses, and asks PAM for nothing then.",
			Follows: "Who comes from such an address gets in with neither password nor code.",
			Fix:     "Write satisfy all, or take it out."}))
	}
}
