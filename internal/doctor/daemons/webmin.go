package daemons

import (
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// webmin looks at its users: of those with an x PAM is asked, and the others have
// passwords of its own.
func (e *exam) webmin() {
	for _, name := range []string{"webmin", "usermin"} {
		file := "/etc/" + name + "/miniserv.conf"
		if !e.Machine.Has(file) || len(unit.Services(e.Machine.Root, name)) > 0 && !unit.Enabled(e.Machine.Root, name+".service") {
			continue
		}
		settings := map[string]string{}
		places := map[string]pamstack.Position{}
		for place, line := range target.Lines(e.Machine.Root, file, 0) {
			key, value, _ := strings.Cut(line, "=")
			settings[key], places[key] = value, place
		}
		s := started{pamstack.Position{File: file}, name + ".service", []string{name}}
		if settings["no_pam"] == "1" {
			s.Position = places["no_pam"]
			e.pastPAM(s, name+" is told not to ask PAM, and reads /etc/shadow by itself.", "Whoever has a password there gets in with that alone, root too.")
		}
		users := settings["userfile"]
		if users == "" {
			users = "/etc/" + name + "/miniserv.users"
		}
		for place, line := range target.Lines(e.Machine.Root, users, 0) {
			fields := strings.Split(line, ":")
			if len(fields) > 1 && len(fields[1]) > 1 && !strings.HasPrefix(fields[1], "*") && !strings.HasPrefix(fields[1], "!") {
				s.Position = place
				e.pastPAM(s, name+" has a password of its own for "+fields[0]+".", "Who has that password is in as root there, without a code.")
				break
			}
		}
		service := settings["pam"]
		if service == "" {
			service = name
		}
		if stack, err := e.Load(service); settings["no_pam"] != "1" && err == nil && stack.File == "" {
			e.add(finding.Finding{Severity: finding.Warning, ID: "daemon-without-line", Services: []string{service}, File: file,
				What:    name + " asks PAM for the service " + service + ", which has no file, so that other stands in for it.",
				Follows: "Whoever has a password gets in with what other asks for, and with no code.", Fix: "Write an /etc/pam.d/" + service + " with the line, or: " + s.off()})
		}
	}
}
