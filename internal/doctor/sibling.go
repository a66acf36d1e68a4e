package doctor

import "fmt"

// siblings are PAM services by which a program asks in its other form: sudo -i
// and su -l.
var siblings = map[string]string{"sudo": "sudo-i", "sudo-i": "sudo", "su": "su-l", "su-l": "su"}

// sibling finds the other form of a program that does not ask for a code.
func (e *exam) sibling(s Stack) {
	name, found := siblings[s.Service]
	if !found || len(s.Checks) == 0 {
		return
	}
	other, err := Load(e.tree, name, e.settings)
	if err != nil || other.File == "" || other.asks() {
		return
	}
	e.add(Finding{Severity: Warning, ID: "sibling-without-line", Services: []string{name}, File: other.File,
		What:    fmt.Sprintf("%s has the line and %s, a service of the same program, has none.", s.Service, name),
		Follows: map[string]string{"sudo-i": "sudo -i", "sudo": "sudo without -i", "su-l": "su -l", "su": "su without -l"}[name] + " asks for the password alone.",
		Fix:     "otpctl pam enable " + name})
}
