package daemons

import (
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// lockers are programs that lock a screen or console and ask PAM by their own names.
// Of some of them packages bring no file in pam.d.
var lockers = []string{"vlock", "physlock", "i3lock", "swaylock", "waylock", "xscreensaver", "xsecurelock"}

// lockersWithoutFile finds those for which the service other stands in. What is in a
// file of theirs is looked at as any other service is.
func (e *exam) lockersWithoutFile() {
	for _, name := range lockers {
		there := slices.ContainsFunc([]string{"/usr/bin/", "/usr/sbin/", "/bin/", "/usr/local/bin/"}, func(dir string) bool { return e.Machine.Has(dir + name) })
		stack, err := e.Load(name)
		if !there || err != nil || stack.File != "" || stack.Asks() {
			continue
		}
		f := finding.Finding{Severity: finding.Note, ID: "locker-without-file", Services: []string{name},
			What:    name + " asks PAM for the service " + name + ", which has no file, so that other stands in for it.",
			Follows: "It is unlocked by the password alone.",
			Fix:     "If it is to ask for a code, write an /etc/pam.d/" + name + " with the line, see docs/recipes.md."}
		if !stack.LetsIn(authstack.Outcome{Password: true, Code: authstack.NotAsked}) {
			f.Severity = finding.Warning
			f.What = name + " asks PAM for the service " + name + ", which has no file, and other, which stands in for it, denies everybody."
			f.Follows = "Whoever locks a screen or console with it does not get back in."
			f.Fix = "Write an /etc/pam.d/" + name + ", see docs/recipes.md, or take " + name + " off the machine."
		}
		e.add(f)
	}
}
