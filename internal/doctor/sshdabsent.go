package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// elsewhere is about a unit that starts a program which is not asked.
func elsewhere(unit, program string) finding.Finding {
	f := finding.NotLookedAt(finding.Warning, "what sshd has in force", fmt.Sprintf("%v, and this unit starts %s", target.ErrNoSSHD, program))
	f.File, f.Services = unit, []string{"sshd"}
	f.Follows = "Whether it asks for a code, or lets somebody in beside the stack, nothing here says."
	f.Fix = "Compare what " + program + " -T says with docs/pam-stacks.md, or have that program at /usr/sbin/sshd."
	if target.ErrNoSSHD.Error() == "there is no "+program {
		f.Fix = "Install it, or take the unit away: systemctl disable " + filepath.Base(unit)
	}
	return f
}

// sshdStart is a unit's line that starts a program of that name, wherever it is.
var sshdStart = regexp.MustCompile(`(?m)^ExecStart=[-@:+!]*(/\S*/sshd)(?:\s|$)`)

// absentSSHD finds a unit that starts an sshd where there is none to ask: one that
// was built by hand, or that is not installed any more.
func (e *exam) absentSSHD(ctx context.Context) {
	if !slices.ContainsFunc(e.stacks, func(s authstack.Stack) bool { return s.Service == "sshd" }) {
		return
	}
	for _, dir := range []string{"/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		for _, unit := range e.Machine.Glob(dir + "/*ssh*.service") {
			text, err := os.ReadFile(e.Machine.Root + unit)
			started := sshdStart.FindSubmatch(text)
			if err != nil || started == nil {
				continue
			}
			if _, err := e.Machine.InForce(ctx); !errors.Is(err, target.ErrNoSSHD) {
				return
			}
			e.add(elsewhere(unit, string(started[1])))
			return
		}
	}
}
