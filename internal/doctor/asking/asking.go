// Package asking finds services whose line asks nobody for a code, because the
// policy says so: a line that is there and a policy that is there, which together
// come to a login by the password alone.
//
// The entry point is [Examine]. It promises to say so only where nobody is asked
// as far as names can be looked up: in doubt a person is not exempt, and somebody
// whom the policy requires is asked.
package asking

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Service is one, with what its line goes by.
type Service struct {
	Stack authstack.Stack
	// File is the configuration, with the Settings and what the file says.
	File     string
	Text     []byte
	Settings config.Config
	// People are those who have enrolled.
	People []Person
}

// Person is somebody who has enrolled. Protocols is as in the secret file.
type Person struct {
	Name      string
	Protocols []config.Protocol
}

// exam is one run.
type exam struct {
	machine *target.Machine
	// exempt says of names whether they are exempt, by the configuration's file.
	exempt map[string]map[string]bool
	// left are those who are not, as far as that was looked up, likewise.
	left map[string]*remaining
	// doubt is what kept groups from being looked up, late whether it is their time.
	doubt error
	late  func() bool
	ctx   context.Context
	// keptOut says whether sshd asks root for nothing, once that was looked at.
	keptOut *bool
}

// Examine looks at all services that have a line.
func Examine(ctx context.Context, m *target.Machine, places []Service) (found []finding.Finding) {
	e := &exam{machine: m, exempt: map[string]map[string]bool{}, left: map[string]*remaining{}, late: target.LookingUpFrom(m.Now), ctx: ctx}
	var silent []finding.Finding
	for _, p := range places {
		// That nobody is enrolled or that all are exempt has findings of its own.
		if len(p.Stack.Checks) == 0 || len(p.People)+len(p.Settings.Policy.Require) == 0 || slices.Contains(p.Settings.Policy.Exempt, config.All) {
			continue
		}
		if p.Stack.Protocol != "" && config.CheckProtocol(p.Stack.Protocol, p.Settings.Policy.OwnProtocols) != nil {
			continue // the module takes no such argument, and denies
		}
		if f, asked := e.nobody(p); !asked {
			silent = add(silent, f)
		} else if f, all := e.everywhere(p); all {
			silent = add(silent, f)
		} else {
			found = append(found, e.notAll(p)...)
		}
		found = append(found, e.root(ctx, p)...)
		if e.doubt != nil {
			f := finding.NotLookedAt(finding.Note, "who is exempt", e.doubt.Error())
			f.File, f.Line, f.Fix = p.File, finding.LineOf(p.Text, "exempt"), "See that the name service answers: getent group."
			f.Follows = "If it is everybody, nobody is asked for a code."
			found, e.doubt = append(found, f), nil
		}
	}
	return append(finished(silent, places), found...)
}

// add puts the services of one reason together.
func add(all []finding.Finding, f finding.Finding) []finding.Finding {
	for i, other := range all {
		if other.File == f.File && other.What == f.What {
			all[i].Services = append(all[i].Services, f.Services...)
			return all
		}
	}
	return append(all, f)
}

// finished has the services in the sentences. A line in a file that several
// services include is meant to ask at some of them only, if the policy says at
// which: where it does ask at one, that is no more than a note.
func finished(all []finding.Finding, places []Service) []finding.Finding {
	silent := map[string]bool{}
	for _, f := range all {
		for _, service := range f.Services {
			silent[service] = true
		}
	}
	asks := map[string]bool{} // files whose line asks at some service
	for _, p := range places {
		if !silent[p.Stack.Service] {
			asks[lineFile(p)] = true
		}
	}
	for i, f := range all {
		shared := true
		var protocols []string
		for _, p := range places {
			if !slices.Contains(f.Services, p.Stack.Service) {
				continue
			}
			shared = shared && lineFile(p) != p.Stack.File && asks[lineFile(p)]
			if name := strconv.Quote(string(p.Stack.Protocol)); !slices.Contains(protocols, name) {
				protocols = append(protocols, name)
			}
		}
		if shared && f.Severity == finding.Warning {
			all[i].Severity = finding.Note
		}
		services := strings.Join(f.Services, ", ")
		all[i].What = strings.ReplaceAll(f.What, "SERVICE", services)
		all[i].Fix = strings.ReplaceAll(f.Fix, "PROTOCOLS", strings.Join(protocols, ", "))
	}
	return all
}

// lineFile is where the line stands that asks.
func lineFile(p Service) string {
	if len(p.Stack.Checks) == 0 {
		return ""
	}
	return p.Stack.Lines[p.Stack.Checks[len(p.Stack.Checks)-1]].File
}
