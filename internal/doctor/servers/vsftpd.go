package servers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// vsftpdService is the one whose file the packages bring. Debian's vsftpd asks for
// it where a configuration names none, and any other for vsftpdDefault.
const (
	vsftpdService = "vsftpd"
	vsftpdDefault = "ftp"
)

// vsftpdFiles are where the distributions have the configurations, one for each
// instance.
var vsftpdFiles = []string{"/etc/vsftpd.conf", "/etc/vsftpd/*.conf", "/etc/vsftpd*.conf"}

// vsftpd is what one of its configurations says.
type vsftpd struct {
	pamstack.Position // of the service's name, or the file
	service           string
}

// vsftpds are those that take passwords: they let local users in. known says
// whether there is any configuration.
func vsftpds(root string) (all []vsftpd, known bool) {
	var files []string
	for _, pattern := range vsftpdFiles {
		files = append(files, target.Glob(root, pattern)...)
	}
	slices.Sort(files)
	unnamed := vsftpdDefault
	if pamstack.Of(root).Debian {
		unnamed = vsftpdService
	}
	for _, file := range slices.Compact(files) {
		known = true
		v := vsftpd{Position: pamstack.Position{File: file}, service: unnamed}
		local := false
		for place, line := range target.Lines(root, file, 0) {
			switch key, value, _ := strings.Cut(line, "="); key {
			case "pam_service_name":
				v.service, v.Position = strings.ToLower(value), place
			case "local_enable":
				local = slices.Contains([]string{"YES", "TRUE", "1"}, strings.ToUpper(value))
			}
		}
		if local {
			all = append(all, v)
		}
	}
	return all, known
}

// vsftpdAsks says whether vsftpd gives passwords to a service, as far as its
// configurations say; without one it may.
func vsftpdAsks(root, service string) bool {
	all, known := vsftpds(root)
	return !known || slices.ContainsFunc(all, func(v vsftpd) bool { return v.service == service })
}

// vsftpd finds an instance that asks PAM for another service than that with the
// line.
func (e *exam) vsftpd() {
	guarded := func(service string) bool {
		return slices.ContainsFunc(e.stacks, func(s authstack.Stack) bool { return s.Service == service && len(s.Checks) > 0 })
	}
	if !guarded(vsftpdService) {
		return
	}
	all, _ := vsftpds(e.machine.Root)
	for _, v := range all {
		if guarded(v.service) {
			continue
		}
		stack, err := authstack.Load(pamstack.Of(e.machine.Root), v.service, config.Config{})
		if err == nil && stack.Asks() {
			continue // it is not among those that are examined
		}
		e.add(finding.At(v.Position, finding.Finding{Severity: finding.Error, ID: "vsftpd-other-service", Services: []string{v.service},
			What:    fmt.Sprintf("vsftpd asks PAM for the service %s, and no line of that calls %s.", v.service, authstack.ModuleName),
			Follows: "Nobody is asked for a code there: what is in /etc/pam.d/vsftpd does not count for it.",
			Fix:     "Write pam_service_name=vsftpd there."}))
	}
}
