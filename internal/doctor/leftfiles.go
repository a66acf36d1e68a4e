package doctor

import (
	"errors"
	"io/fs"
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
		left := e.left(path, names, i == 0)
		e.tellLeft(path, left.open, finding.Finding{Severity: finding.Error, Follows: "They count as not enrolled, and get in with the password alone."})
		e.tellLeft(path, left.waiting, finding.Finding{Severity: finding.Error,
			Follows: "They count as not enrolled. Until policy.grace is over, whoever of them has given no code yet gets in with the password alone."})
		e.tellLeft(path, left.doubtful, finding.Finding{Severity: finding.Error, Follows: "They count as not enrolled."})
		e.tellLeft(path, left.required, e.refused())
	}
}

// directories are those in which logins look for secret files: by this configuration, by
// the default one, and by those that lines name.
func (e *exam) directories() []string {
	all := []string{filepath.Clean(e.settings.Paths.Users)}
	if path := e.Machine.Root + config.DefaultPath; e.configPath() != path {
		settings, err := config.Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			settings, err = config.Default(), nil
		}
		if err == nil {
			all = append(all, filepath.Clean(e.under(settings).Paths.Users))
		}
	}
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

// left are people with a secret file where no login looks, by what the policy has become
// of those who have not enrolled: whom it requires nothing of, requires a code of once the
// grace is over, may require one of (a group cannot be looked up), and requires one of now.
type left struct{ open, waiting, doubtful, required []string }

// left are those of a directory who have no secret file where logins look. A file that is
// wrong is somebody's too where nothing but secret files belongs.
func (e *exam) left(path string, names []string, secretsAlone bool) (found left) {
	dir, err := account.Open(path, e.settings.Policy.OwnProtocols...)
	if err != nil {
		return found // it is not there, or nothing of ours
	}
	defer dir.Close()
	there, _, err := dir.List()
	if err != nil {
		return found
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
		list := e.outcome(&found, name)
		*list = append(*list, name)
	}
	return found
}

// outcome is the one of the lists in which somebody belongs.
func (e *exam) outcome(found *left, name string) *[]string {
	policy := e.settings.Policy
	required := e.selected(policy.Require, name)
	switch {
	case policy.Unenrolled == config.Allow || !required && !e.doubtful(policy.Require, name):
		return &found.open
	case e.inGrace():
		return &found.waiting
	case !required:
		return &found.doubtful
	}
	return &found.required
}

// inGrace says whether policy.grace lets in somebody who has still to enroll.
func (e *exam) inGrace() bool {
	grace := e.settings.Policy.Grace
	return grace.For > 0 || e.Machine.Now().Before(grace.Until)
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
