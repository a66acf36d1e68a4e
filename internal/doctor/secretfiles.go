package doctor

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/secretfiles"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// secretFiles looks at what each said that was read, as a login would.
func (e *exam) secretFiles() {
	if !e.inUse() || !e.usable(e.settings, e.files()) {
		return
	}
	files, path := e.files(), gate.PlaceOf(e.settings).Path
	before := e.findings
	e.findings = nil
	e.strays(path, files.Strays)
	e.nobodys(path, files.Names)
	e.leftFiles(files.Names)
	byName := e.findings
	e.findings = before
	people := e.people() // who are read until now
	for _, bad := range people.Bad {
		e.badSecretFile(bad)
	}
	e.enrolled = people.Enrolled
	e.findings = append(e.findings, people.Keys.Examine()...)
	e.nothingToSendWith(people.Waiting)
	e.findings = append(e.findings, byName...)
	e.nobodyEnrolled(path, people.Meant(), len(files.Names))
	e.nobodyInvited(people.Addresses)
	e.nobodyManages(people.Managing)
}

// readOnce has the secret files of the configuration listed once in a run, and read once.
// Where codes are expected of somebody that begins now, beside what else is looked at.
func (e *exam) readOnce() {
	e.files = sync.OnceValue(func() secretfiles.Files {
		e.opened = e.filesOf(e.settings)
		return e.opened
	})
	e.people = sync.OnceValue(func() *secretfiles.People {
		return secretfiles.Read(e.files(), e.settings, gate.PlaceOf(e.settings).Path)
	})
	if e.expected = e.somebodyExpected(); e.expected && e.settings.Remote == nil {
		go e.people()
	}
}

// errNotAsked is for secret files in etcd, which is not to be asked.
var errNotAsked = errors.New("--offline was given")

// store opens a configuration's secret files, whose place that is.
func (e *exam) store(settings config.Config, place gate.Place) (account.Store, error) {
	if settings.Ledger != nil && settings.Ledger.People && e.AskLedger == nil {
		return nil, errNotAsked
	}
	return place.Open()
}

// filesOf are the secret files of a configuration, all to be read: the keys that encrypt
// them are read once.
func (e *exam) filesOf(settings config.Config) secretfiles.Files {
	place := gate.PlaceOf(settings)
	place.Keys = place.Keys.Held()
	return secretfiles.Open(func() (account.Store, error) { return e.store(settings, place) })
}

// closeFiles closes what readOnce opened, if anything asked for it.
func (e *exam) closeFiles() { _ = e.opened.Close() }

// usable says whether a login could use the store of a configuration's secret files, and
// finds why not.
func (e *exam) usable(settings config.Config, files secretfiles.Files) bool {
	path := gate.PlaceOf(settings).Path
	switch err := files.Unopened; {
	case err == nil:
	case errors.Is(err, errNotAsked):
		f := finding.NotLookedAt(finding.Note, "the secret files in etcd, and who is enrolled", err.Error())
		f.File, f.Fix = path, "Run otpctl doctor without --offline."
		e.add(f)
		return false
	case gate.PlaceOf(settings).Former != "": // which is said of the ledger
		return false
	default:
		e.add(finding.Finding{Severity: finding.Error, ID: "users-directory", File: path, What: err.Error() + ".",
			Follows: "Every login that may be asked is denied.", Fix: "It must belong to root (or the verifier's user), and nobody else may write it or a directory above: chown root " + path + " && chmod 700 " + path})
		return false
	}
	switch err := files.Unlisted; {
	case err == nil:
		return true
	case ledger.CountsNowhere(err) || errors.Is(err, ledger.ErrUnreachable): // which is said of the ledger
	default:
		e.add(finding.Finding{Severity: finding.Error, ID: "users-directory", File: path, What: err.Error() + ".", Follows: "Nobody who has to give a code gets in."})
	}
	return false
}

// peopleInEtcd finds what keeps secret files in etcd from counting, and those that are left
// where none counts any more.
func (e *exam) peopleInEtcd() {
	place := gate.PlaceOf(e.settings)
	if place.Former == "" || e.settings.Remote != nil {
		return
	}
	if unnoted, ok := errors.AsType[ledger.UnnotedError](ledger.CheckNoted(e.settings.Paths.State, e.settings.Ledger.Prefix)); ok {
		e.add(finding.Finding{Severity: finding.Error, ID: "ledger-not-noted", File: unnoted.Dir, What: "ledger.people is true, and nothing there says in which etcd the ledger of this server is.",
			Follows: "Every login that may be asked is denied: in any other etcd nobody would have enrolled.", Fix: "otpctl ledger move --to etcd"})
	}
	left, err := place.Left()
	if err != nil {
		e.add(finding.Finding{Severity: finding.Error, ID: "users-directory", File: place.Former, What: err.Error() + ".",
			Follows: "Whoever is not found in etcd is denied.", Fix: "Mend that."})
		return
	}
	if len(left) > 0 {
		e.add(finding.Finding{Severity: finding.Error, ID: "people-not-moved", File: place.Former,
			What:    fmt.Sprintf("ledger.people is true, and %s left there, such as %s.", count(left), filepath.Base(left[0])),
			Follows: "Whoever has one and is not in etcd is denied.",
			Fix:     "If they have counted here until now: otpctl ledger move --people. If not, take them away."})
	}
}

func count(files []string) string {
	if len(files) == 1 {
		return "a secret file is"
	}
	return finding.Count(len(files), "secret file") + " are"
}

func (e *exam) badSecretFile(bad secretfiles.Bad) {
	name, file, err := bad.Name, bad.Path, bad.Err
	e.denied[name] = true
	f := finding.Finding{Severity: finding.Error, ID: "secret-file", File: file, Line: finding.LineIn(file, err), What: finding.Unplaced(file, err) + ".",
		Follows: "Every login of " + name + " is denied.", Fix: "Correct it, or enroll again: otpctl enroll " + name + " --replace"}
	if strings.HasPrefix(file, inEtcd) {
		f.Fix = "otpctl remove " + name + ", and then bring it back with otpctl import backup, or enroll again."
	}
	if errors.Is(err, account.ErrOfAnother) {
		f.Fix = "If somebody was renamed to " + name + ": otpctl rename OLD " + name + ", which keeps used codes used and recovery codes good."
	}
	if errors.Is(err, safefile.ErrUnsafe) {
		f.Fix = "It must belong to its directory's owner, with mode 0600. If others could read it, enroll again."
	}
	e.add(f)
}

// inEtcd begins the name of what is no file.
const inEtcd = "etcd:"

// strays are files whose names no login looks for.
func (e *exam) strays(path string, files []string) {
	for _, file := range files {
		f := finding.Finding{Severity: finding.Warning, ID: "stray-file", File: filepath.Join(path, file), What: "No login looks for a file of that name.",
			Follows: "Whoever it is for is not enrolled.", Fix: "Name it after the login name, with the ending .toml."}
		if strings.HasPrefix(path, inEtcd) {
			f.File, f.Fix = path+"/"+file, "Take the key away: etcdctl del "+strings.TrimPrefix(path, inEtcd)+"/"+file
		}
		e.add(f)
	}
}

// nobodyInvited is about a policy that mails links to people of whom it knows no address.
func (e *exam) nobodyInvited(addresses int) {
	policy := e.settings.Policy
	if policy.Unenrolled != config.Invite || addresses > 0 || len(policy.Require) == 0 {
		return
	}
	text, _ := target.Read("", e.configPath())
	e.add(finding.Finding{Severity: finding.Warning, ID: "invite-without-address", File: e.configPath(), Line: finding.LineOf(text, "unenrolled"),
		What:    `policy.unenrolled is "invite", and no secret file has a mail address.`,
		Follows: "Nobody is mailed a link. Who is required and has not enrolled is refused, or will be once policy.grace is over.",
		Fix:     "otpctl invite USER --email ADDRESS, or otpctl invite --csv FILE with a column email: both write the address into the secret file, and mail a link."})
}

// nobodyManages finds a page for people who are enrolled that none of them can open.
func (e *exam) nobodyManages(managing int) {
	if e.settings.Portal == nil || !e.settings.Portal.Manage || managing > 0 {
		return
	}
	text, _ := target.Read("", e.configPath())
	e.add(finding.Finding{Severity: finding.Warning, ID: "self-service-nobody", File: e.configPath(), Line: finding.LineOf(text, "manage"),
		What:    "portal.manage is set, and nobody has a mail address and a device, or recovery codes, in the secret file.",
		Follows: "Nobody gets into self-service: a link is mailed to the address in the secret file, and codes that are sent do not open the page.",
		Fix:     "otpctl set USER --email ADDRESS for people who have a device, or invite others: otpctl invite USER --email ADDRESS"})
}

func (e *exam) nobodyEnrolled(path string, enrolled, files int) {
	refuses := len(e.settings.Policy.Require) > 0 && e.settings.Policy.Unenrolled == config.Refuse && !e.inGrace()
	switch {
	case enrolled > 0:
	case refuses && slices.Contains(e.settings.Policy.Require, config.All):
		e.add(finding.Finding{Severity: finding.Error, ID: "nobody-enrolled", File: e.configPath(), What: `policy.require has "@all", policy.unenrolled is "refuse", and nobody is enrolled.`,
			Follows: "Everybody who is not exempt is denied, root too.", Fix: "otpctl enroll USER, or give policy.grace until people have enrolled."})
	default:
		e.add(finding.Finding{Severity: finding.Note, ID: "nobody-enrolled", File: path, What: fmt.Sprintf("Nobody is enrolled (%s).", finding.Count(files, "secret file")),
			Follows: "Nobody is asked for a code, unless policy.require says so.", Fix: "otpctl enroll USER"})
	}
}
