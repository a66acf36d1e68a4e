package doctor

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/lostline"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// inUse says whether there is any login that what is otpgate's own is for.
func (e *exam) inUse() bool { return len(e.stacks) > 0 || e.expected }

// somebodyExpected says whether codes are to be asked of anybody: by the policy, of
// somebody who is enrolled, or on a client, whose servers say of whom.
func (e *exam) somebodyExpected() bool {
	if e.settings.Remote != nil || len(e.settings.Policy.Require) > 0 {
		return true
	}
	files := e.files()
	if err := files.Unopened; err != nil {
		return errors.Is(err, errNotAsked) || ledger.CountsNowhere(err)
	}
	if files.Unlisted != nil {
		return errors.Is(files.Unlisted, ledger.ErrUnreachable)
	}
	return slices.ContainsFunc(files.Names, func(name string) bool {
		person, err := files.Store.Load(name)
		return err != nil || person.Enrolled()
	})
}

// lostLines finds services that do not ask for a code, while the text of our line
// for them stands where libpam does not take it for one.
func (e *exam) lostLines() (found int) {
	for _, text := range lostline.Find(e.tree, e.settings) {
		services := e.meantFor(text.Name)
		if len(services) == 0 || len(e.Services) > 0 && !slices.ContainsFunc(services, e.named) {
			continue
		}
		f := finding.At(text.Position, finding.Finding{Severity: finding.Error, ID: "line-lost", Services: services, What: text.What + ".",
			Follows: "Nobody is asked for a code by " + strings.Join(services, ", ") + ".",
			Fix:     "otpctl pam enable " + services[0]})
		switch {
		case !e.expected:
			f.Severity = finding.Note
		case len(e.stacks) > 0 && (text.Meant || text.Name != services[0]):
			f.Severity = finding.Warning // others ask, so it may have been moved
		}
		switch {
		case strings.HasPrefix(text.Fix, "then "):
			f.Fix += "; " + text.Fix + "."
		case text.Fix != "":
			f.Fix = text.Fix + "."
		case text.Name != services[0]:
			f.Fix = "Put the line back into " + text.Name + ", or: " + f.Fix
		}
		e.add(f)
		found++
	}
	return found
}

func (e *exam) named(service string) bool { return slices.Contains(e.Services, service) }

// meantFor are the services without our line that it would have been for in a
// file of that name: that service, or those that include it and that people log
// in by.
func (e *exam) meantFor(name string) (services []string) {
	included, err := authstack.Includers(e.tree, name)
	if err != nil {
		return nil
	}
	if _, known := e.settings.Services[name]; known || len(included) == 0 {
		included = []string{name}
	}
	for _, service := range included {
		protocol, known := e.settings.Services[service]
		stack, err := authstack.Load(e.tree, service, e.settings)
		switch {
		case err != nil || stack.Asks() || stack.File == "" || service == e.settings.SFTP.PAMService:
		case known && !slices.Contains(e.settings.Policy.Protocols, protocol):
		case known || service == name:
			services = append(services, service)
			e.without = append(e.without, stack)
		}
	}
	return services
}

// noLines is about a machine where no service has the line.
func (e *exam) noLines() {
	f := finding.Finding{Severity: finding.Note, ID: "no-lines", What: "No service in /etc/pam.d calls " + authstack.ModuleName + ".",
		Follows: "Nobody is asked for a code.", Fix: "otpctl pam enable sshd adds the line, see docs/roll-out.md."}
	sshd, err := authstack.Load(e.tree, "sshd", e.settings)
	asked := slices.ContainsFunc(e.settings.Policy.Protocols, func(p config.Protocol) bool { return p != "sftp" })
	if e.expected && asked {
		f.Severity = finding.Error
		f.Follows = "Nobody is asked for a code, though people are enrolled or the policy requires one."
		if err == nil && sshd.File != "" {
			e.without = append(e.without, sshd)
		}
	}
	if sshd.File == pamstack.ConfFile {
		f.What = "No line of " + sshd.File + " calls " + authstack.ModuleName + "."
		f.Fix = "Add behind the lines of the password: sshd auth required " + authstack.ModuleName
	}
	if e.hasSFTP() {
		f.Severity = max(f.Severity, finding.Warning)
		f.Follows = "Nobody is asked for a code but by otpgate-sftpd."
		f.Fix += ` If nothing else is to ask: policy.protocols = ["sftp"].`
	}
	e.add(f)
}

// hasSFTP says whether otpgate-sftpd has ever run, and so has host keys.
func (e *exam) hasSFTP() bool {
	return slices.ContainsFunc(e.settings.SFTP.HostKeys, func(key string) bool {
		_, err := os.Stat(path.Join(e.Machine.Root, key))
		return err == nil
	})
}

// noneAsks says whether codes are expected, and no service of the machine has the
// line.
func (e *exam) noneAsks() bool {
	return e.expected && !slices.ContainsFunc(e.allServices(), func(name string) bool {
		stack, err := authstack.Load(e.tree, name, e.settings)
		return err == nil && stack.Asks()
	})
}

// noService is about a name that was given and that pam.d has no file for.
func (e *exam) noService(s authstack.Stack) {
	f := finding.Finding{Severity: finding.Error, ID: "service-missing", Services: []string{s.Service},
		What:    "There is no service " + s.Service + ": no file of that name is in " + pamstack.AdminDir + " or the distribution's directory.",
		Follows: "What programs that ask PAM for it would get are the lines of the service other.",
		Fix:     "Name one that is there."}
	if meant := lostline.Nearest(e.tree, s.Service); meant != "" {
		f.Fix = "Is " + meant + " meant? otpctl doctor --service " + meant
	}
	e.add(f)
}
