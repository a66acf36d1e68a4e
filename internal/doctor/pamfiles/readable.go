package pamfiles

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// unprivileged says whether the host of a service is not root.
func unprivileged(s authstack.Stack) bool {
	return slices.Contains([]config.Protocol{"http", "https", "webdav"}, s.Protocol) ||
		slices.Contains([]string{"radiusd", "freeradius", "squid"}, s.Service)
}

// readable looks for files that such a host cannot read: libpam then takes the
// lines of other, or fails an include.
func (e *Exam) readable(s authstack.Stack) {
	if !unprivileged(s) {
		return
	}
	for _, file := range s.Files {
		mode, secret := e.roots(file)
		if !secret {
			continue
		}
		f := finding.Finding{Severity: finding.Error, ID: "pam-file-mode", Services: []string{s.Service}, File: file,
			What:    fmt.Sprintf("The file has mode %04o and belongs to root, and the server that asks for %s is not root.", mode, s.Service),
			Follows: "Everybody is denied: the line that includes it fails.",
			Fix:     "chmod 644 " + file}
		if file == s.File {
			f.Follows = "libpam takes the lines of the service other instead: " + e.byOther()
		}
		e.add(f)
		return
	}
}

// roots says whether nobody but root can read a file.
func (e *Exam) roots(file string) (mode os.FileMode, only bool) {
	info, err := os.Stat(e.Tree.Root + file)
	if err != nil {
		return 0, false
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	mode = info.Mode().Perm()
	return mode, known && owner.Uid == 0 && mode&0o004 == 0 && (owner.Gid == 0 || mode&0o040 == 0)
}

// byOther says what becomes of logins by the lines of the service other.
func (e *Exam) byOther() string {
	other, err := e.load(pamstack.Other)
	if err != nil {
		return "everybody is denied."
	}
	switch other.Effect() {
	case authstack.LetsAllIn:
		return "everybody gets in with nothing."
	case authstack.AsksNobody:
		return "everybody gets in with the password alone."
	case authstack.LetsNobodyIn:
		return "everybody is denied."
	}
	return "these decide."
}

// other finds a service other that lets everybody in.
func (e *Exam) other() {
	s, err := e.load(pamstack.Other)
	if err != nil || s.Asks() || len(s.Lines) == 0 || s.Effect() != authstack.LetsAllIn {
		return
	}
	e.add(finding.At(s.Lines[0].Position, finding.Finding{Severity: finding.Warning, ID: "other-permits", Services: []string{pamstack.Other},
		What:    "The lines of the service other let everybody in.",
		Follows: "A program whose service has no file in " + pamstack.AdminDir + ", by a slip or since it was removed, lets in with neither password nor code.",
		Fix:     "Write there: auth required pam_deny.so"}))
}
