package doctor

import (
	"context"
	"errors"
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/asking"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/console"
	"github.com/otpgate/otpgate/internal/doctor/daemons"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/root"
	"github.com/otpgate/otpgate/internal/doctor/servers"
	"github.com/otpgate/otpgate/internal/doctor/withoutcode"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// superuser is whose code su asks for.
const superuser = "root"

// root looks at ways to root beside the code.
func (e *exam) root() *root.Exam {
	return &root.Exam{Machine: &e.Machine, Stacks: e.stacks, Load: e.loadStack, ToAskRoot: e.toAskRoot()}
}

// besides looks at ways in that no service of PAM's is for, where there are services
// that ask and somebody to be asked.
func (e *exam) besides(ctx context.Context) {
	if len(e.Services) > 0 || !e.expected || len(e.stacks) == 0 {
		return
	}
	begun := len(e.settings.Policy.Require) > 0 || slices.ContainsFunc(e.stacks, func(s authstack.Stack) bool { return s.Protocol == "login" && withoutcode.Local(s) })
	e.findings = append(e.findings, console.Exam{Machine: &e.Machine, Asked: e.asked, Begun: begun}.Examine()...)
	e.findings = append(e.findings, e.ways.Groups(ctx, e.asked)...)
	e.findings = append(e.findings, daemons.Exam{Machine: &e.Machine, Policy: e.settings.Policy, Load: e.loadStack}.Examine()...)
}

// samba looks at smbd if it was named, or if all is looked at and codes are expected of
// somebody.
func (e *exam) samba() {
	if slices.Contains(e.Services, "samba") || len(e.Services) == 0 && e.expected {
		e.findings = append(e.findings, servers.Samba(&e.Machine, e.stacks)...)
	}
}

// admins looks at whom sudo makes root without a code, at services where somebody is asked.
func (e *exam) admins() {
	if len(e.Services) == 0 && e.expected && !slices.Contains(e.settings.Policy.Exempt, config.All) {
		e.findings = append(e.findings, e.ways.Admins(e.asker)...)
	}
}

// passwordless looks for people who are asked by ssh for passwords that they do not have.
// Of a client's people the servers know.
func (e *exam) passwordless(ctx context.Context) {
	var names []string
	for _, p := range e.enrolled {
		names = append(names, p.Name)
	}
	if len(names) > 0 {
		e.findings = append(e.findings, e.sshd().Passwordless(ctx, names)...)
	}
}

// asker is what says of a service why somebody is asked for no code there. Whose secret
// file cannot be read is denied.
func (e *exam) asker(s authstack.Stack) func(user string) string {
	place, known := e.place(s)
	fix := place.Asker(&e.Machine)
	nobody := slices.ContainsFunc(e.findings, func(f finding.Finding) bool { return f.ID == asking.ID && slices.Contains(f.Services, s.Service) })
	return func(user string) string {
		leftOut := s.Protocol != "" && !slices.Contains(place.Settings.Policy.Protocols, s.Protocol)
		if nobody || !known || leftOut || e.denied[user] {
			return ""
		}
		return fix(user)
	}
}

// asked says whether somebody is to be asked for codes. In doubt nobody is exempt.
func (e *exam) asked(user string) bool {
	enrolled := e.settings.Remote != nil || slices.ContainsFunc(e.enrolled, func(p asking.Person) bool { return p.Name == user })
	return !e.selected(e.settings.Policy.Exempt, user) && (enrolled || e.selected(e.settings.Policy.Require, user))
}

// selected says whether somebody is surely one of those whom a list of the policy names.
func (e *exam) selected(list []config.Selector, user string) bool {
	return slices.ContainsFunc(list, func(s config.Selector) bool {
		in := s == config.All || string(s) == user
		if group := s.Group(); !in && group != "" {
			member, err := e.Machine.Member(user, group)
			in = err == nil && member
		}
		return in
	})
}

// doubtful says whether a list has a group in which somebody counts as being because it
// cannot be looked up. One that the machine does not know cannot.
func (e *exam) doubtful(list []config.Selector, user string) bool {
	return slices.ContainsFunc(list, func(s config.Selector) bool {
		group := s.Group()
		if s == config.All || group == "" {
			return false
		}
		known, unknown := e.Machine.GroupKnown(group)
		_, unsaid := e.Machine.Member(user, group)
		return !known || unknown != nil || unsaid != nil
	})
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
// read denies. Of a client the servers know, so nothing is said of root there,
// nor where etcd knows and is not asked.
func (e *exam) rootEnrolled() bool {
	if e.settings.Remote != nil {
		return true
	}
	dir, err := e.store(e.settings, gate.PlaceOf(e.settings))
	if err != nil {
		return errors.Is(err, errNotAsked) || ledger.CountsNowhere(err)
	}
	defer dir.Close()
	person, err := dir.Load(superuser)
	if errors.Is(err, account.ErrNotFound) {
		return false
	}
	return err != nil || person.Enrolled()
}
