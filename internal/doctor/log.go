package doctor

import (
	"errors"
	"io/fs"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// log looks for a place where the lines of logins are kept.
func (e *exam) log() {
	if !e.inUse() {
		return
	}
	nobody := e.Machine.Log()
	if nobody == nil {
		return
	}
	const makeIt = "install -m 0640 /dev/null " + audit.DefaultFile
	path := e.Machine.Root + audit.DefaultFile
	err := audit.CheckFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.add(finding.Finding{Severity: finding.Warning, ID: "log-nowhere",
			What:    "Nobody takes lines at /dev/log (" + nobody.Error() + "), and there is no " + path + ".",
			Follows: "Whatever a login is denied for, be it a mistake in the configuration that denies everybody, no line says so.",
			Fix:     "Have a system log run, or make the file, to which the lines go then: " + makeIt})
	case err != nil:
		e.add(finding.Finding{Severity: finding.Warning, ID: "log-file", File: path,
			What:    "Nobody takes lines at /dev/log (" + nobody.Error() + "), and this file is not written to: " + err.Error() + ".",
			Follows: "Whatever a login is denied for, no line says so.",
			Fix:     "Make it a file of root's that nobody else can write and others cannot read: rm " + path + " && " + makeIt})
	}
}
