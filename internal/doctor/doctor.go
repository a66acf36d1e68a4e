package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// ModuleName is the file name of the PAM module.
const ModuleName = "pam_otpgate.so"

// Doctor examines a machine.
type Doctor struct {
	Machine Machine
	// Config is the configuration as given to the command, "" for the default.
	Config string
	// Edited stands in for files of pam.d, by path.
	Edited map[string]string
	// Services are the PAM services to examine; none is all that have our line.
	Services []string
}

// exam is one run.
type exam struct {
	Doctor
	tree     pamstack.Tree
	settings config.Config
	findings []Finding
	stacks   []Stack
	mail     dovecot
}

func (e *exam) add(f Finding) { e.findings = append(e.findings, f) }

// Stack is a service whose authentication has our line.
type Stack struct {
	pamstack.Stack
	// Lines are those of authentication.
	Lines []pamstack.Line
	// Checks and Splits are the indices of our lines without and with "split".
	Checks, Splits []int
	// Protocol is what the policy calls the service, "" if it does not know.
	Protocol config.Protocol
	// declared are the policy's own protocols.
	declared []config.Protocol
}

// Examine returns what it finds, the worst first.
func (d Doctor) Examine(ctx context.Context) []Finding {
	e := &exam{Doctor: d, tree: pamstack.Of(d.Machine.Root)}
	e.tree.Edited = d.Edited
	e.Machine.fill()
	e.configuration()
	e.services()
	e.otherConfigs()
	e.modules(ctx)
	e.sending()
	e.sshd(ctx)
	e.mail = dovecotOf(e.Machine.Root)
	e.dovecot()
	e.besidePAM()
	e.saslauthd()
	e.squid()
	e.sftp()
	e.secretFiles()
	e.names()
	e.clock() // ahead of state, which may make a directory in the one that it looks at
	e.state()
	e.log()
	e.verifier()
	for i := range e.findings {
		e.findings[i].below(d.Machine.Root)
	}
	return merge(e.findings)
}

// Ours says whether a line calls the module.
func Ours(line pamstack.Line) bool {
	return line.Kind == pamstack.Module && line.Name() == ModuleName
}

// Load reads a service.
func Load(tree pamstack.Tree, service string, settings config.Config) (Stack, error) {
	stack, err := tree.Load(service)
	if err != nil {
		return Stack{Stack: stack}, err
	}
	return view(stack, settings), nil
}

func view(stack pamstack.Stack, settings config.Config) Stack {
	s := Stack{Stack: stack, Lines: stack.Lines(pamstack.Auth), Protocol: settings.Services[stack.Service], declared: settings.Policy.OwnProtocols}
	for i, line := range s.Lines {
		switch {
		case !Ours(line):
		case line.Has("split"):
			s.Splits = append(s.Splits, i)
		default:
			s.Checks = append(s.Checks, i)
			if named := line.Arg("protocol"); named != "" {
				s.Protocol = config.Protocol(named)
			}
		}
	}
	return s
}

// asks says whether the stack has any line of ours.
func (s Stack) asks() bool { return len(s.Checks)+len(s.Splits) > 0 }

// services loads every stack that has our line, or that was named, and looks
// for what is wrong with it.
func (e *exam) services() {
	names := e.Services
	if len(names) == 0 {
		names = e.candidates()
	}
	seen := 0
	for _, name := range names {
		stack, err := e.tree.Load(name)
		if err != nil {
			if len(e.Services) > 0 || e.mentions(stack) {
				seen++
				e.add(Finding{Severity: Error, ID: "service-unreadable", Services: []string{name}, File: stack.File, What: err.Error(),
					Follows: "Every login through it is denied.", Fix: "Correct the file; an open root shell is not affected."})
			}
			continue
		}
		s := view(stack, e.settings)
		if s.asks() {
			seen++
			e.stacks = append(e.stacks, s)
			e.stack(s)
			continue
		}
		slips := e.wrongType(s) + e.slips(s)
		seen += slips
		if slips == 0 && len(e.Services) > 0 {
			e.withoutLine(s)
		}
	}
	if seen == 0 && len(e.Services) == 0 {
		e.add(Finding{Severity: Note, ID: "no-lines", What: "No service in /etc/pam.d calls " + ModuleName + ".",
			Follows: "Nobody is asked for a code.", Fix: "otpctl pam enable sshd adds the line, see docs/roll-out.md."})
	}
}

// withoutLine is about a service that was named and does not ask.
func (e *exam) withoutLine(s Stack) {
	f := Finding{Severity: Note, ID: "service-without-line", Services: []string{s.Service}, File: s.File,
		What:    "No line of " + s.Service + " calls " + ModuleName + ".",
		Follows: "Nobody is asked for a code there.", Fix: "otpctl pam enable " + s.Service + " adds the line."}
	if s.Service == e.settings.SFTP.PAMService {
		f.Follows = "None belongs there: otpgate-sftpd asks for the code itself, behind this stack."
		f.Fix = "Nothing is to be done; otpctl test USER --service " + s.Service + " says who is asked."
	}
	e.add(f)
}

// candidates are the services of the machine, without files that are only there
// to be included or that are somebody's copies.
func (e *exam) candidates() []string {
	all, err := e.tree.Services()
	if err != nil {
		e.add(Finding{Severity: Error, ID: "service-unreadable", What: err.Error()})
	}
	included := map[string]bool{}
	for _, name := range all {
		stack, err := e.tree.Load(name)
		if err != nil {
			continue
		}
		for _, path := range stack.Files {
			if path != stack.File {
				included[path[strings.LastIndexByte(path, '/')+1:]] = true
			}
		}
	}
	return slices.DeleteFunc(all, func(name string) bool {
		_, known := e.settings.Services[name]
		return !known && included[name] || IsCopy(name)
	})
}

// Includers are the services with lines out of the file of this one. The error
// says that pam.d cannot be listed.
func Includers(tree pamstack.Tree, service string) (includers []string, err error) {
	file, _ := tree.Find(service)
	all, err := tree.Services()
	for _, name := range all {
		stack, err := tree.Load(name)
		has := func(line pamstack.Line) bool { return line.File == file }
		if err == nil && stack.File != file && !IsCopy(name) && slices.ContainsFunc(stack.Own(), has) {
			includers = append(includers, name)
		}
	}
	return includers, err
}

// IsCopy knows the names that editors, package tools and otpctl give to copies.
func IsCopy(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".bak") ||
		strings.HasSuffix(name, ".rpmnew") || strings.HasSuffix(name, ".rpmsave") || strings.Contains(name, ".dpkg-") ||
		strings.Contains(name, CopyInfix)
}

// CopyInfix is in the names of the copies that otpctl pam keeps.
const CopyInfix = ".before-otpgate-"

// mentions says whether the files of a stack that could not be read to the end
// have our line.
func (e *exam) mentions(stack pamstack.Stack) bool {
	return slices.ContainsFunc(stack.Files, func(file string) bool {
		text, err := e.tree.Read(file)
		return err == nil && strings.Contains(text, ModuleName)
	})
}

// wrongType finds our module where nobody asks it for a code.
func (e *exam) wrongType(s Stack) (found int) {
	if s.asks() {
		return 0
	}
	for _, line := range s.Own() {
		if Ours(line) && line.Type != pamstack.Auth {
			e.add(at(line.Place, Finding{Severity: Error, ID: "wrong-type", Services: []string{s.Service},
				What:    "The line is of the type " + line.Type.String() + ", and there is none of the type auth.",
				Follows: "Nobody is asked for a code.",
				Fix:     "Write: auth required " + ModuleName}))
			return 1
		}
	}
	return 0
}
