package asking

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/nss"
)

// ID is that of services whose line asks nobody.
const ID = "nobody-asked"

// nobody goes through all who could be asked at a place. asked is false if that
// is nobody, and f says why.
func (e *exam) nobody(p Service) (f finding.Finding, asked bool) {
	protocol, policy := p.Stack.Protocol, p.Settings.Policy
	here := protocol == "" || slices.Contains(policy.Protocols, protocol)
	var elsewhere Person // who would be asked, if not for protocols of her own
	left := false        // whether anybody is not exempt
	for person := range e.notExempt(p) {
		if e.keepsOut(p, person.Name) {
			continue
		}
		left = true
		switch {
		case person.Protocols != nil && protocol != "" && !slices.Contains(person.Protocols, protocol):
			elsewhere = person
		case person.Protocols != nil || here:
			return f, true
		}
	}
	if len(p.People) == 0 && policy.Unenrolled == config.Allow {
		return f, true // that nobody is enrolled is said elsewhere
	}
	// Who is required and has not enrolled is refused without a question.
	refused := !left && len(p.People) > 0 && policy.Unenrolled.EndsLogin()
	if required := policy.Unenrolled != config.Allow && !refused && e.requires(p); required {
		if here {
			return f, true
		}
		left = true
	}
	switch {
	case !left:
		return e.allExempt(p), false
	case !here:
		return e.why(p, "protocols", list(policy.Protocols), finding.Finding{Severity: finding.Warning,
			Fix: "Add PROTOCOLS to policy.protocols, or take the line out."}), false
	}
	return finding.Finding{Severity: finding.Warning, ID: ID, Services: []string{p.Stack.Service}, File: p.Settings.Paths.Users,
		What:    fmt.Sprintf("Nobody is asked for a code at SERVICE, because all who are enrolled have protocols = […] of their own without %s in their secret files: see %s.", protocol, elsewhere.Name),
		Follows: inByPassword,
		Fix:     fmt.Sprintf("otpctl set %s --protocols %s, or take the line out.", elsewhere.Name, joined(append(slices.Clone(elsewhere.Protocols), protocol)))}, false
}

const inByPassword = "Whoever has a password gets in with that alone."

// why is the finding about a key of the policy.
func (e *exam) why(p Service, key, value string, f finding.Finding) finding.Finding {
	f.ID, f.Services = ID, []string{p.Stack.Service}
	f.File, f.Line = p.File, finding.LineOf(p.Text, key)
	f.What = fmt.Sprintf("Nobody is asked for a code at SERVICE, because policy.%s = %s in %s.", key, value, p.File)
	if f.Follows == "" {
		f.Follows = inByPassword
	}
	return f
}

func (e *exam) allExempt(p Service) finding.Finding {
	f := finding.Finding{Severity: finding.Error, Follows: "That exempts all who are enrolled or required. " + inByPassword,
		Fix: "Exempt accounts that no person uses, and nobody who has a device."}
	if p.Settings.Policy.Unenrolled.EndsLogin() && e.requires(p) {
		f.Severity = finding.Warning
		f.Follows = "That exempts all who are enrolled: they get in with the password alone. Who is required and has not enrolled is refused."
	}
	return e.why(p, "exempt", list(p.Settings.Policy.Exempt), f)
}

// remaining are people who are not exempt, of the first that were looked at.
type remaining struct {
	people []Person
	looked int
}

// notExempt are those of the people of a place who are not exempt: the same for all places
// of a configuration. Who that is is found out as far as somebody wants to know, as groups
// may be asked about far away.
func (e *exam) notExempt(p Service) iter.Seq[Person] {
	l := e.left[p.File]
	if l == nil {
		l = &remaining{}
		e.left[p.File] = l
	}
	return func(yield func(Person) bool) {
		for i := 0; ; i++ {
			for ; i == len(l.people) && l.looked < len(p.People); l.looked++ {
				if person := p.People[l.looked]; !e.exempts(p, person.Name) {
					l.people = append(l.people, person)
				}
			}
			if i == len(l.people) || !yield(l.people[i]) {
				return
			}
		}
	}
}

// exempts says whether somebody is exempt. Doubt exempts nobody, as at a login.
func (e *exam) exempts(p Service, name string) bool {
	if len(p.Settings.Policy.Exempt) == 0 {
		return false
	}
	of := e.exempt[p.File]
	if of == nil {
		of = make(map[string]bool, len(p.People))
		e.exempt[p.File] = of
	}
	known, looked := of[name]
	if !looked {
		known = slices.ContainsFunc(p.Settings.Policy.Exempt, func(s config.Selector) bool { return e.selects(s, name) })
		of[name] = known
	}
	return known
}

func (e *exam) selects(selector config.Selector, name string) bool {
	if selector == config.All || string(selector) == name {
		return true
	}
	group := selector.Group()
	in, err := false, error(nil)
	if group != "" && e.late() {
		e.doubt = fmt.Errorf("the members of groups could not be looked up within %v", target.LookingUp)
		return false
	}
	if group != "" {
		if in, err = e.machine.Member(name, group); err != nil && !errors.Is(err, nss.ErrUnknownUser) && !errors.Is(err, nss.ErrUnknownGroup) {
			e.doubt = err
		}
	}
	return err == nil && in
}

// requires says whether the policy requires a code of anybody who is not exempt.
// Whom a directory may know is somebody.
func (e *exam) requires(p Service) bool {
	for _, selector := range p.Settings.Policy.Require {
		if slices.Contains(p.Settings.Policy.Exempt, selector) {
			continue
		}
		names, all := []string{string(selector)}, true
		var err error
		switch group := selector.Group(); {
		case selector == config.All:
			names, all, err = e.machine.People()
		case group != "":
			names, err = e.machine.ListedMembers(group)
			all = len(names) > 0 // of another one's members nothing is known here
		}
		if err != nil || !all || slices.ContainsFunc(names, func(name string) bool { return !e.exempts(p, name) && !e.keepsOut(p, name) }) {
			return true
		}
	}
	return false
}

func joined(protocols []config.Protocol) string {
	names := make([]string, len(protocols))
	for i, protocol := range protocols {
		names[i] = string(protocol)
	}
	return strings.Join(names, ",")
}

// list writes a list as in the file.
func list[T ~string](values []T) string {
	text := "["
	for i, value := range values {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%q", string(value))
	}
	return text + "]"
}
