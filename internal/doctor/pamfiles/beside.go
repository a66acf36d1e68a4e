package pamfiles

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// ways are services by which the same program logs people in by something else
// than a password.
var ways = map[string][]struct{ service, by string }{
	"gdm-password": {{"gdm-fingerprint", "a fingerprint"}, {"gdm-smartcard", "a smart card"}},
	"kde":          {{"kde-fingerprint", "a fingerprint"}, {"kde-smartcard", "a smart card"}},
	"cinnamon":     {{"cinnamon-fingerprint", "a fingerprint"}},
}

// beside finds ways into the same desktop that do not ask for a code.
func (e *Exam) beside(s authstack.Stack) {
	for _, way := range ways[s.Service] {
		other, err := e.load(way.service)
		if len(s.Checks) == 0 || err != nil || other.File == "" || other.Asks() || !other.LetsIn(authstack.Outcome{Password: true}) {
			continue
		}
		e.add(finding.Finding{Severity: finding.Warning, ID: "sibling-without-line", Services: []string{way.service}, File: other.File,
			What:    s.Service + " has the line, and " + way.service + " has none.",
			Follows: "Who has " + way.by + " there gets in without a code.",
			Fix:     "otpctl pam enable " + way.service + ", or have it say: auth required pam_deny.so"})
	}
}

// byPath finds a line that names a file which the package does not keep.
func (e *Exam) byPath(s authstack.Stack) {
	for _, i := range s.Ours() {
		line := s.Lines[i]
		kept, found := e.Machine.Module(authstack.ModuleName)
		if !path.IsAbs(line.Module) || !found || e.same(line.Module, kept) {
			continue
		}
		e.add(finding.At(line.Position, finding.Finding{Severity: finding.Warning, ID: "module-by-path", Services: []string{s.Service},
			What:    "The line names " + line.Module + ", which differs from the package's " + kept + ".",
			Follows: "Updates change nothing about this line: what they mend is not mended here, and a core or verifier of another version denies.",
			Fix:     "Write " + authstack.ModuleName + " there, without a path."}))
	}
}

// same says whether two files are one, or have the same contents, or cannot be
// compared.
func (e *Exam) same(a, b string) bool {
	one, err := target.Read(e.Machine.Root, a)
	other, failed := target.Read(e.Machine.Root, b)
	return err != nil || failed != nil || bytes.Equal(one, other)
}

// shadow has people's passwords.
const shadow = "/etc/shadow"

// emptyPasswords finds people whom pam_unix lets in without one.
func (e *Exam) emptyPasswords(s authstack.Stack) {
	takes := slices.IndexFunc(s.Lines, func(line pamstack.Line) bool {
		return line.Name() == "pam_unix.so" && (line.Has("nullok") || line.Has("nullok_secure"))
	})
	// sshd itself asks for no empty password, unless it is told to.
	if takes < 0 || s.Service == "sshd" {
		return
	}
	names, err := e.Machine.EmptyPasswords()
	if err != nil {
		f := finding.NotLookedAt(finding.Warning, "who has an empty password, which nullok takes", err.Error())
		f.Services, f.File, f.Fix = []string{s.Service}, shadow, "Run otpctl doctor as root."
		e.add(f)
	}
	if len(names) == 0 {
		return
	}
	e.add(finding.At(s.Lines[takes].Position, finding.Finding{Severity: finding.Warning, ID: "empty-password", Services: []string{s.Service},
		What:    "These have an empty password in /etc/shadow, and nullok takes it: " + strings.Join(names, ", ") + ".",
		Follows: "Nothing but the code is asked of such a name, and nothing at all if the policy does not ask it.",
		Fix:     "passwd " + names[0] + ", or usermod -L " + names[0] + "; or take nullok out."}))
}
