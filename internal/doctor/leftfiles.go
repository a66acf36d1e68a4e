package doctor

import (
	"path/filepath"
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// leftFiles finds secret files where no login looks, of people who have none where
// logins do: in the default directory, if the configuration names another, and beside
// the directory. Whoever they are for counts as not enrolled.
func (e *exam) leftFiles(names []string) {
	looked := e.directories()
	others := []string{e.Machine.Root + config.Default().Paths.Users}
	for _, dir := range looked {
		others = append(others, filepath.Dir(dir))
	}
	for i, path := range others {
		if slices.Contains(looked, path) {
			continue
		}
		looked = append(looked, path)
		required, open := e.left(path, names, i == 0)
		e.tellLeft(path, open, finding.Finding{Severity: finding.Error, Follows: "They count as not enrolled, and get in with the password alone."})
		e.tellLeft(path, required, e.refused())
	}
}

// directories are those in which logins look for secret files: by the default
// configuration, and by those that lines name.
func (e *exam) directories() []string {
	all := []string{filepath.Clean(e.settings.Paths.Users)}
	for _, s := range e.stacks {
		for _, i := range s.Ours() {
			named := s.Lines[i].Arg("config")
			if named == "" {
				continue
			}
			if settings, err := config.Load(e.Machine.Root + named); err == nil {
				all = append(all, filepath.Clean(e.under(settings).Paths.Users))
			}
		}
	}
	return all
}

// left are people with a secret file in a directory and none where logins look, by
// whether the policy has a code asked of them all the same. A file that is wrong is
// somebody's too where nothing but secret files belongs.
func (e *exam) left(path string, names []string, secretsAlone bool) (required, open []string) {
	dir, err := account.Open(path, e.settings.Policy.OwnProtocols...)
	if err != nil {
		return nil, nil // it is not there, or nothing of ours
	}
	defer dir.Close()
	there, _, err := dir.List()
	if err != nil {
		return nil, nil
	}
	late := target.LookingUpFrom(e.Machine.Now)
	for _, name := range there {
		if _, found := slices.BinarySearch(names, name); found {
			continue
		}
		person, err := dir.Load(name)
		if err != nil && !secretsAlone || err == nil && !person.Enrolled() || e.selected(e.settings.Policy.Exempt, name) {
			continue
		}
		if !late() {
			if known, err := e.Machine.UserKnown(name); err == nil && !known {
				continue // who is gone does not log in
			}
		}
		policy := e.settings.Policy
		if e.selected(policy.Require, name) && policy.Unenrolled != config.Allow && policy.Grace == (config.Grace{}) {
			required = append(required, name)
		} else {
			open = append(open, name)
		}
	}
	return required, open
}

// refused is about people who count as not enrolled, and of whom the policy requires a
// code.
func (e *exam) refused() finding.Finding {
	switch e.settings.Policy.Unenrolled {
	case config.Enroll:
		return finding.Finding{Severity: finding.Error, Follows: "They count as not enrolled: whoever has the password enrolls a device of their own and gets in with that."}
	case config.Invite:
		return finding.Finding{Severity: finding.Warning, Follows: "They count as not enrolled, and are refused until they enroll anew by a link."}
	}
	return finding.Finding{Severity: finding.Warning, Follows: "They count as not enrolled, and are refused."}
}

func (e *exam) tellLeft(path string, names []string, f finding.Finding) {
	if len(names) == 0 {
		return
	}
	f.ID, f.File = "secret-files-elsewhere", path
	f.What = "Logins look for secret files in " + e.settings.Paths.Users + ", and those of these people lie here: " + finding.Some(names) + "."
	f.Fix = "mv " + filepath.Join(path, names[0]+".toml") + " " + e.settings.Paths.Users + "/ and so on, or name this directory in paths.users. Take away what is not to count."
	if e.settings.Ledger != nil && e.settings.Ledger.People {
		f.What = "Logins look for secret files in etcd, and those of these people lie here: " + finding.Some(names) + "."
		f.Fix = "Put them into " + e.settings.Paths.Users + ", and then: otpctl ledger move --people. Take away what is not to count."
	}
	e.add(f)
}
