package doctor

import (
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/root"
)

// superuser is whose code su asks for.
const superuser = "root"

// root looks at ways to root beside the code.
func (e *exam) root() root.Exam {
	return root.Exam{Machine: &e.Machine, Stacks: e.stacks, Load: e.loadStack, ToAskRoot: e.toAskRoot()}
}

// toAskRoot is what has root be asked for a code, "" if root is, or is denied for
// want of one.
func (e *exam) toAskRoot() string {
	policy := e.settings.Policy
	own := func(s config.Selector) bool {
		return s == config.All || string(s) == superuser || s.Group() == superuser
	}
	if slices.ContainsFunc(policy.Exempt, own) {
		return "take root out of policy.exempt"
	}
	if e.rootEnrolled() || slices.ContainsFunc(policy.Require, own) && policy.Unenrolled != config.Allow {
		return ""
	}
	return "otpctl enroll root"
}

// rootEnrolled says whether root has a factor that counts. A file that cannot be
// read denies.
func (e *exam) rootEnrolled() bool {
	dir, err := account.PlaceOf(e.settings).Open()
	if err != nil {
		return false
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil || !slices.Contains(names, superuser) {
		return false
	}
	person, err := dir.Load(superuser)
	return err != nil || person.Enrolled()
}
