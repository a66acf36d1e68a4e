package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// siblings are PAM services that lead to the same place as another one.
var siblings = map[string][]sibling{
	"sudo":   {{"sudo-i", "sudo -i asks"}, {"polkit-1", "pkexec and run0, which make root as sudo does, ask"}},
	"sudo-i": {{"sudo", "sudo without -i asks"}},
	"su":     {{"su-l", "su -l asks"}, {"polkit-1", "pkexec and run0, which make root as su does, ask"}},
	"su-l":   {{"su", "su without -l asks"}},
}

type sibling struct{ service, asks string }

// siblings finds ways beside a service that do not ask for a code.
func (e *exam) siblings(s authstack.Stack) {
	for _, other := range siblings[s.Service] {
		if s.Service == "su" && other.service == "polkit-1" && e.guarded("sudo") {
			continue // said of sudo
		}
		stack, err := authstack.Load(e.tree, other.service, e.settings)
		if len(s.Checks) == 0 || err != nil || stack.File == "" || stack.Asks() {
			continue
		}
		e.add(finding.Finding{Severity: finding.Warning, ID: "sibling-without-line", Services: []string{other.service}, File: stack.File,
			What:    fmt.Sprintf("%s has the line, and %s has none.", s.Service, other.service),
			Follows: other.asks + " for the password alone.",
			Fix:     "otpctl pam enable " + other.service})
	}
}

// unusedSiblings takes back what was said of services that sudo does not ask for.
func (e *exam) unusedSiblings() {
	e.findings = slices.DeleteFunc(e.findings, func(f finding.Finding) bool {
		return f.ID == "sibling-without-line" && len(f.Services) == 1 && e.ways.Unused(f.Services[0])
	})
}

// guarded says whether a service asks for a code.
func (e *exam) guarded(service string) bool {
	stack, err := e.loadStack(service)
	return err == nil && stack.Asks()
}

// hidden finds a copy of the distribution's file that hides what has become of
// that since.
func (e *exam) hidden(s authstack.Stack) {
	vendor, found := e.tree.Vendor(s.Service)
	if !found || s.File == vendor {
		return
	}
	vendors, err := e.tree.Read(vendor)
	own, failed := e.tree.Read(s.File)
	if err != nil || failed != nil || bare(own, true) == bare(vendors, false) {
		return
	}
	e.add(finding.Finding{Severity: finding.Note, ID: "vendor-file-hidden", Services: []string{s.Service}, File: s.File,
		What:    fmt.Sprintf("The file counts instead of %s, and differs from it by more than our lines.", vendor),
		Follows: "What updates change there holds for nobody.",
		Fix:     fmt.Sprintf("Compare them: diff %s %s", vendor, s.File)})
}

// bare is what a file says, if ours is set as it was
// before our lines were added.
func bare(text string, ours bool) string {
	var kept strings.Builder
	if ours {
		text = authstack.TakenBack(text)
	}
	for _, s := range pamstack.Statements(text) {
		if !ours || len(s.Fields) < 3 || filepath.Base(s.Fields[2]) != authstack.ModuleName {
			kept.WriteString(strings.Join(s.Fields, " ") + "\n")
		}
	}
	return kept.String()
}
