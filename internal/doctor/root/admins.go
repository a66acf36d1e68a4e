package root

import (
	"slices"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// Admins looks at people of whom sudo makes root by their own password and asks no code,
// though its line is there to ask. fix says what would have somebody asked at a service,
// "" of whoever is. It goes by the rules that Examine has read.
func (e *Exam) Admins(fix func(s authstack.Stack) func(user string) string) []finding.Finding {
	x := &exam{Exam: e}
	for _, r := range e.readings {
		people := r.byPassword()
		for _, s := range e.Stacks {
			if !slices.Contains(r.services, s.Service) || len(s.Checks) == 0 {
				continue
			}
			x.unaskedAdmins(r.main, s.Service, people, fix(s))
		}
	}
	return x.findings
}

// unaskedAdmins is about those whom one service asks nothing but the password.
func (e *exam) unaskedAdmins(file, service string, people []string, fix func(user string) string) {
	var unasked []string
	for _, name := range people {
		if fix(name) != "" {
			unasked = append(unasked, name)
		}
	}
	if len(unasked) == 0 {
		return
	}
	e.add(finding.Finding{Severity: finding.Warning, ID: "sudo-not-asked", Services: []string{service}, File: file,
		What:    "sudo makes root of these and asks them for no code, by the policy or as they have not enrolled: " + finding.Some(unasked) + ".",
		Follows: "Whoever is in as one of them, and has that password, becomes root with the password alone.",
		Fix:     "To have " + unasked[0] + " asked: " + fix(unasked[0]) + ". Or take away what sudo's rules, or a group, let that account do."})
}

// byPassword are the people with a shell and a password of whom a rule makes root by that
// password. Rules that ask for nothing, or for somebody else's password, are found by
// themselves.
func (r *reading) byPassword() (names []string) {
	seen := map[string]bool{"root": true}
	for _, rule := range r.toRoot(r.Machine) {
		_, off := r.defaultsOff(rule)
		if !rule.all || !rule.asks || off || r.asksForAnother(rule) {
			continue
		}
		for _, name := range r.peopleOf(rule.who) {
			if !seen[name] && !r.takenBack(name, rule.spec) {
				names, seen[name] = append(names, name), true
			}
		}
	}
	none := map[string]bool{}
	for _, name := range r.Machine.WithoutShell(names) {
		none[name] = true
	}
	return r.Machine.Typed(slices.DeleteFunc(names, func(name string) bool { return none[name] }))
}

// asksForAnother says whether sudo asks for somebody else's password by a rule.
func (r *reading) asksForAnother(about rule) bool {
	return slices.ContainsFunc([]string{"rootpw", "targetpw", "runaspw"}, func(option string) bool {
		set, value, _ := r.holding(option, about)
		return set && value == true
	})
}

// peopleOf are those whom a rule names, as far as names and groups tell.
func (r *reading) peopleOf(who entry) []string {
	switch {
	case who.Username == "ALL":
		people, _, _ := r.Machine.People() // that accounts cannot be read has findings of its own
		return people
	case who.Username != "":
		return []string{who.Username}
	case who.Usergroup != "":
		names, _ := r.people.members(who.Usergroup)
		return names
	}
	return nil
}

// takenBack says whether a rule leaves somebody out, as in "%sudo, !bob", or a later one
// forbids everything.
func (r *reading) takenBack(name string, of int) bool {
	matches := func(e entry) bool {
		e.Negated = false
		return r.people.has(e, entry{Username: name})
	}
	if slices.ContainsFunc(r.specs[of].Users, func(e entry) bool { return e.Negated && matches(e) }) {
		return true
	}
	return slices.ContainsFunc(r.specs[of+1:], func(later spec) bool {
		forbids := slices.ContainsFunc(later.Commands, func(a allowed) bool {
			return slices.ContainsFunc(a.Commands, func(c entry) bool { return c.Negated && c.Command == "ALL" })
		})
		return forbids && slices.ContainsFunc(later.Users, func(e entry) bool { return !e.Negated && matches(e) })
	})
}
