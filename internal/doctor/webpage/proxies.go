package webpage

import (
	"fmt"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// mostProxies is how many addresses of a network may be web servers: whoever else has one
// of them names any address, and wrong links count against that.
const mostProxies = 8 // bits

// proxies looks for networks of which everybody's word is taken.
func (e *exam) proxies() {
	for _, network := range e.portal.Proxies {
		if network.Addr().BitLen()-network.Bits() <= mostProxies {
			continue
		}
		e.add("proxies", finding.Finding{Severity: finding.Warning, ID: "page-proxies", What: fmt.Sprintf("All of %s is believed about where browsers are.", network.Prefix),
			Follows: "Whoever comes from there names any address in X-Forwarded-For: wrong links never lock him, and can lock others.",
			Fix:     "Name the web servers that stand in front of the page, and nobody else."})
	}
}

// webServers looks at nginx where it passes browsers on to the page.
func (e *exam) webServers() {
	at, unix := strings.CutPrefix(e.portal.Listen, "unix:")
	if !unix && e.portal.KeyFile != "" {
		return // browsers come by themselves
	}
	above := nginx{}
	for _, pattern := range []string{"/etc/nginx/nginx.conf", "/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*"} {
		for _, path := range target.Glob(e.Machine.Root, pattern) {
			file := readNginx(e.Machine.Root, path, at)
			if above.forwarded != "" && !file.sets {
				file.forwarded = above.forwarded
			}
			e.webServer(path, file, unix)
			if path == "/etc/nginx/nginx.conf" {
				above = file
			}
		}
	}
}

// nginx is what one of its files says.
type nginx struct {
	line int // where it passes on to the page; 0 if it does not
	// sets says that it sets headers, so that none of the file around it hold.
	sets bool
	// forwarded is what X-Forwarded-For is set to, and others says that files which are
	// not read here may set it.
	forwarded string
	others    bool
}

func readNginx(root, path, at string) (n nginx) {
	for place, text := range target.Lines(root, path, 0) {
		text, _, _ = strings.Cut(text, "#")
		words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(text), ";"))
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "proxy_pass":
			if strings.Contains(words[1], at) {
				n.line = place.Line
			}
		case "proxy_set_header":
			n.sets = true
			if len(words) > 2 && strings.EqualFold(words[1], "X-Forwarded-For") {
				n.forwarded = strings.Trim(words[2], `"'`)
			}
		case "include":
			n.others = n.others || !isRead(words[1])
		}
	}
	return n
}

// isRead says whether a file that nginx includes is looked at here, or has no headers.
func isRead(pattern string) bool {
	for _, known := range []string{"mime.types", "conf.d/*.conf", "sites-enabled/*", "modules-enabled/*.conf"} {
		if strings.HasSuffix(pattern, known) {
			return true
		}
	}
	return false
}

// webServer says what is wrong with one file.
func (e *exam) webServer(path string, file nginx, unix bool) {
	if file.line == 0 || file.others && file.forwarded == "" {
		return
	}
	f := finding.Finding{File: e.Machine.Root + path, Line: file.line, ID: "page-forwarded-for",
		Fix: "Write there: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"}
	switch {
	case file.forwarded == "" && unix:
		f.Severity, f.What = finding.Error, "nginx passes browsers on to the page, and does not say where they are."
		f.Follows = "The page answers nobody: whoever opens a link is told that it does not work just now."
	case file.forwarded == "":
		f.Severity, f.What = finding.Warning, "nginx passes browsers on to the page, and does not say where they are."
		f.Follows = "Wrong links of everybody count as of one address, and lock everybody."
	case file.forwarded == "$http_x_forwarded_for":
		f.Severity, f.What = finding.Warning, "nginx passes on what browsers say of where they are, and nothing of its own."
		f.Follows = "Whoever lies is believed: wrong links never lock him, and can lock others. Whoever says nothing may not be answered."
	default:
		return
	}
	e.findings = append(e.findings, f)
}
