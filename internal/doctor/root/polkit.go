package root

import (
	"os"
	"regexp"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// polkitRules are the admin's rules of polkit: programs, and before 0.106 files of
// keys.
var polkitRules = []string{"/etc/polkit-1/rules.d/*.rules", "/etc/polkit-1/localauthority/*/*.pkla", "/var/lib/polkit-1/localauthority/*/*.pkla"}

// yes is how these say that nobody is asked, and makesRoot which of polkit's
// actions make root: pkexec's, and those of run0 and systemd-run.
var (
	yes       = regexp.MustCompile(`Result\.YES|^Result(Any|Active|Inactive)\s*=\s*yes`)
	comment   = regexp.MustCompile(`^\s*(//|#|\*|/\*)`)
	makesRoot = regexp.MustCompile(`org\.freedesktop\.(policykit\.exec|systemd1\.manage-unit(s|-files))|Action=\*`)
	anyAction = regexp.MustCompile(`action\.id|action\.lookup|^Action=`)
)

// narrowed is how a rule asks which program or unit is meant.
var narrowed = regexp.MustCompile(`action\.lookup\(`)

// saysYes is about a rule's line.
func saysYes(line string, narrowed bool) finding.Finding {
	f := finding.Finding{Severity: finding.Warning, ID: "polkit-not-asking", Services: []string{"polkit-1"},
		What:    "A rule of polkit says yes, without asking, about actions that make root: " + strings.TrimSpace(line),
		Follows: "For whomever it means pkexec or run0 make root without a password and without a code.",
		Fix:     "Return polkit.Result.AUTH_SELF or AUTH_ADMIN there, or name other actions."}
	if narrowed {
		f.Severity = finding.Note
		f.Follows = "The rule looks which program or unit is meant. How much of root's power that gives is not looked at."
	}
	return f
}

// polkit looks for rules by which pkexec or run0 ask for nothing. What a rule's
// program makes of somebody is not known here.
func (e *exam) polkit() {
	if len(e.guarded("sudo", "sudo-i", "su", "su-l", "polkit-1")) == 0 {
		return
	}
	for _, pattern := range polkitRules {
		for _, file := range e.Machine.Glob(pattern) {
			text, err := os.ReadFile(e.Machine.Root + file)
			if err != nil {
				continue
			}
			if names := makesRoot.Match(text); !names && anyAction.Match(text) {
				continue // of other actions
			}
			for place, line := range target.Lines(e.Machine.Root, file, 0) {
				if yes.MatchString(line) && !comment.MatchString(line) {
					e.add(finding.At(place, saysYes(line, narrowed.Match(text))))
					break
				}
			}
		}
	}
}
