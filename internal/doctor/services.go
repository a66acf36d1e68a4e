package doctor

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/lostline"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// services loads every stack that has our line, or that was named, and looks
// for what is wrong with it.
func (e *exam) services() {
	names := e.Services
	if len(names) == 0 {
		e.candidates = e.allServices()
		names = e.candidates
	}
	seen := 0
	for _, name := range names {
		stack, err := e.tree.Load(name)
		if err != nil {
			_, known := e.settings.Services[name]
			if len(e.Services) > 0 || e.mentions(stack) || known && e.expected {
				seen++
				e.add(finding.Finding{Severity: finding.Error, ID: "service-unreadable", Services: []string{name}, File: stack.File, What: err.Error(),
					Follows: "Every login through it is denied.", Fix: "Correct the file; an open root shell is not affected."})
			}
			continue
		}
		s := authstack.Of(stack, e.settings).Reading(e.tree, authstack.Names{GroupKnown: e.Machine.GroupKnown})
		if s.File == "" {
			e.noService(s)
			continue
		}
		if s.Asks() {
			seen++
			e.stacks = append(e.stacks, s)
			e.stack(s)
			continue
		}
		slips := e.wrongType(s) + e.slips(s) + e.broken(s)
		seen += slips
		if slips == 0 && len(e.Services) > 0 {
			e.withoutLine(s)
		}
	}
	lost := e.lostLines()
	if len(e.Services) == 0 && seen+lost == 0 {
		e.noLines()
	}
}

// withoutLine is about a service that was named and does not ask.
func (e *exam) withoutLine(s authstack.Stack) {
	f := finding.Finding{Severity: finding.Note, ID: "service-without-line", Services: []string{s.Service}, File: s.File,
		What:    "No line of " + s.Service + " calls " + authstack.ModuleName + ".",
		Follows: "Nobody is asked for a code there.", Fix: "otpctl pam enable " + s.Service + " adds the line."}
	if e.noneAsks() {
		f.Severity = finding.Error
		f.Follows = "Nobody is asked for a code there, nor by any other service, though people are enrolled or the policy requires one."
	}
	if s.Service == e.settings.SFTP.PAMService {
		f.Severity = finding.Note
		f.Follows = "None belongs there: otpgate-sftpd asks for the code itself, behind this stack."
		f.Fix = "Nothing is to be done; otpctl test USER --service " + s.Service + " says who is asked."
	}
	e.add(f)
}

// allServices are those of the machine, without files that are only there
// to be included or that are somebody's copies.
func (e *exam) allServices() []string {
	all, err := e.tree.Services()
	if err != nil {
		e.add(finding.Finding{Severity: finding.Error, ID: "service-unreadable", What: err.Error()})
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
		return !known && included[name] || authstack.IsCopy(name) || lostline.Original(e.tree, e.settings, name) != ""
	})
}

// mentions says whether the files of a stack that could not be read to the end
// have our line.
func (e *exam) mentions(stack pamstack.Stack) bool {
	return slices.ContainsFunc(stack.Files, func(file string) bool {
		text, err := e.tree.Read(file)
		return err == nil && strings.Contains(text, authstack.ModuleName)
	})
}

// wrongType finds our module where nobody asks it for a code.
func (e *exam) wrongType(s authstack.Stack) (found int) {
	if s.Asks() {
		return 0
	}
	for _, line := range s.Own() {
		if authstack.Ours(line) && line.Type != pamstack.Auth {
			e.add(finding.At(line.Position, finding.Finding{Severity: finding.Error, ID: "wrong-type", Services: []string{s.Service},
				What:    "The line is of the type " + line.Type.String() + ", and there is none of the type auth.",
				Follows: "Nobody is asked for a code.",
				Fix:     "Write: auth required " + authstack.ModuleName}))
			return 1
		}
	}
	return 0
}
