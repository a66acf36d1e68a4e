package doctor

import (
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/excuse"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// excused marks what an admin lives with. A file that is wrong excuses nothing.
func (e *exam) excused(findings []finding.Finding) []finding.Finding {
	path := e.Machine.Root + excuse.Path
	excuses, err := excuse.Load(path)
	if err != nil {
		findings = append(findings, finding.Finding{Severity: finding.Error, ID: "excuses", File: path, Line: lineIn(path, err), What: strings.Replace(unplaced(path, err)+".", "?.", "?", 1),
			Follows: "Nothing is excused.", Fix: "Correct it, see docs/doctor.md."})
		finding.Sort(findings)
		return findings
	}
	return excuse.Apply(findings, excuses, path, len(e.Services) == 0)
}
