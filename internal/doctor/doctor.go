// Package doctor finds what is wrong with how otpgate is set up on a machine:
// stacks in pam.d that never come to the code, an sshd that cannot ask, files
// that a login could not read, a disk, clock or verifier that would deny it.
//
// The entry point is [Doctor.Examine]. It promises to change nothing, to read
// what is in force rather than what somebody meant (sshd -T, included files,
// jumps counted), and to name for each finding the file and line, what follows
// from it, and the fix. What it cannot know it says nothing about, so that a
// machine without a finding is one where every login through these stacks is
// asked, as far as files tell.
//
// What is wrong with a stack by itself is in authstack, with the files around it in
// pamfiles and lostline, with sshd in sshd, with ways to root in root, with other
// servers in servers, with other daemons in daemons, with the console in console, with
// the policy in asking, with clients and their servers in remote, with the page for
// invited people in webpage; here is what is wrong
// with otpgate's own files.
package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/asking"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/excuse"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/pamfiles"
	"github.com/otpgate/otpgate/internal/doctor/remote"
	"github.com/otpgate/otpgate/internal/doctor/root"
	"github.com/otpgate/otpgate/internal/doctor/secretfiles"
	"github.com/otpgate/otpgate/internal/doctor/servers"
	"github.com/otpgate/otpgate/internal/doctor/sharedledger"
	"github.com/otpgate/otpgate/internal/doctor/sshd"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/webpage"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Doctor examines a machine.
type Doctor struct {
	Machine target.Machine
	// Config is the configuration as given to the command, "" for the default.
	Config string
	// Edited stands in for files of pam.d, by path.
	Edited map[string]string
	// Services are the PAM services to examine; none is all that have our line.
	Services []string
	// Ask asks a client's servers whether they take logins; without it the network is
	// left alone.
	Ask remote.Ask
	// AskLedger asks how a ledger in etcd is; without it that is not looked at.
	AskLedger sharedledger.Ask
	// AskFormer asks whether it has what was moved there from this machine.
	AskFormer func(ctx context.Context, settings config.Config) error
	// AskPeople asks whether servers have people there.
	AskPeople func(ctx context.Context, settings config.Ledger) (bool, error)
	// Also are findings of others about the same machine.
	Also []finding.Finding
}

// exam is one run.
type exam struct {
	Doctor
	tree     pamstack.Tree
	settings config.Config
	// unread says that the configuration cannot be read, and settings are the defaults.
	unread   bool
	findings []finding.Finding
	stacks   []authstack.Stack
	// files are the secret files of the configuration, and people what they say; each is
	// found out once in a run.
	files    func() secretfiles.Files
	people   func() *secretfiles.People
	opened   secretfiles.Files
	enrolled []asking.Person
	// candidates are the services that may be examined, if none was named.
	candidates []string
	// without are services that were to have our line and have none.
	without []authstack.Stack
	// expected says that codes are to be asked of somebody.
	expected bool
	// loads are what the loader said of modules.
	loads map[string]error
	mail  servers.Dovecot
	// ways are those to root, and denied are people whose secret file cannot be read.
	ways   *root.Exam
	denied map[string]bool
}

func (e *exam) add(f finding.Finding) { e.findings = append(e.findings, f) }

// Examine returns what it finds, the worst first.
func (d Doctor) Examine(ctx context.Context) []finding.Finding {
	e := &exam{Doctor: d, tree: pamstack.Of(d.Machine.Root), loads: map[string]error{}, denied: map[string]bool{}}
	e.tree.Edited = d.Edited
	e.Machine.Fill()
	e.configuration()
	e.readOnce()
	defer e.closeFiles()
	e.services()
	e.otherConfigs()
	e.modules(ctx)
	files := pamfiles.Exam{Machine: &e.Machine, Tree: e.tree, Settings: e.settings, Stacks: e.stacks, Gone: e.gone}
	e.findings = append(e.findings, files.Examine()...)
	e.sending()
	e.findings = append(e.findings, e.sshd().Examine(ctx)...)
	e.ways = e.root()
	e.findings = append(e.findings, e.ways.Examine(ctx)...)
	e.unusedSiblings()
	e.mail = servers.ReadDovecot(e.Machine.Root)
	e.findings = append(e.findings, servers.Examine(&e.Machine, e.mail, e.settings.Policy, e.stacks)...)
	e.sftp()
	e.whileReading(func() { e.others(ctx) })
	e.samba()
	e.besides(ctx)
	e.nobodyUnasked()
	e.nobodyAsked(ctx)
	e.passwordless(ctx)
	e.admins()
	e.withoutCode(ctx)
	e.clock() // ahead of state, which may make a directory in the one that it looks at
	e.state()
	e.log()
	e.verifier()
	found := e.excused(finding.Merge(e.certain(append(e.findings, d.Also...))))
	for i := range found {
		found[i].Below(d.Machine.Root)
	}
	return found
}

// whileReading does something beside the reading of secret files, and then looks at what
// these say, of which it finds the first.
func (e *exam) whileReading(do func()) {
	before := e.findings
	e.findings = nil
	do()
	found := e.findings
	e.findings = before
	if e.settings.Remote == nil {
		e.secretFiles()
	}
	e.findings = append(e.findings, found...)
}

// others looks at what no secret file has a say in.
func (e *exam) others(ctx context.Context) {
	ends := remote.Exam{Machine: &e.Machine, Settings: e.settings, Path: e.configPath(), Ask: e.Ask}
	e.findings = append(e.findings, ends.Examine(ctx)...)
	shared := sharedledger.Exam{Settings: e.settings, Path: e.configPath(), Ask: e.AskLedger, Former: e.AskFormer, People: e.AskPeople, Now: e.Machine.Now}
	e.findings = append(e.findings, shared.Examine(ctx)...)
	e.peopleInEtcd()
	page := webpage.Exam{Machine: &e.Machine, Settings: e.settings, Path: e.configPath()}
	e.findings = append(e.findings, page.Examine()...)
	e.names()
	e.grace()
}

func (e *exam) sshd() sshd.Exam {
	return sshd.Exam{Machine: &e.Machine, Stacks: append(slices.Clone(e.stacks), e.without...), Load: e.loadStack, Named: len(e.Services) > 0,
		Policy: e.settings.Policy, RootEnrolled: e.rootEnrolled()}
}

func (e *exam) loadStack(service string) (authstack.Stack, error) {
	return authstack.Load(e.tree, service, e.settings)
}

// excused marks what an admin lives with. A file that is wrong excuses nothing.
func (e *exam) excused(findings []finding.Finding) []finding.Finding {
	path := e.Machine.Root + excuse.Path
	excuses, err := excuse.Load(path)
	if err != nil {
		findings = append(findings, finding.Finding{Severity: finding.Error, ID: "excuses", File: path, Line: finding.LineIn(path, err), What: strings.Replace(finding.Unplaced(path, err)+".", "?.", "?", 1),
			Follows: "Nothing is excused.", Fix: "Correct it, see docs/doctor.md."})
		finding.Sort(findings)
		return findings
	}
	return excuse.Apply(findings, excuses, path, len(e.Services) == 0 && !e.unread)
}
