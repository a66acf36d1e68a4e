package doctor

import (
	"slices"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// names finds people of the policy that the machine does not know.
func (e *exam) names() {
	path := e.configPath()
	data, _ := target.Read("", path)
	for _, list := range []struct {
		key, id, follows string
		selectors        []config.Selector
	}{
		{"exempt", "exempt-unknown", "Nobody is exempt by it: if it is a slip, the account that is meant is asked, and what runs by it hangs.", e.settings.Policy.Exempt},
		{"require", "require-unknown", "If it is a slip, whoever is meant is not required to give a code.", e.settings.Policy.Require},
	} {
		for _, selector := range list.selectors {
			f := finding.Finding{Severity: finding.Warning, ID: list.id, File: path, Line: finding.LineOf(data, list.key), Follows: list.follows,
				What: "policy." + list.key + " names "}
			if list.key == "require" && selector.Group() != "" {
				f.Follows = e.requiresAll()
			}
			if list.key != "require" || !e.misspeltAll(selector, f) {
				e.known(selector, f)
			}
		}
	}
	if slices.Contains(e.settings.Policy.Exempt, config.All) {
		e.add(finding.Finding{Severity: finding.Warning, ID: "exempt-all", File: path, Line: finding.LineOf(data, "exempt"), What: `policy.exempt names "@all".`,
			Follows: "Nobody is asked for a code, whoever is enrolled or required.", Fix: "Name those whom no person runs, or take it out."})
	}
	for _, name := range e.settings.Verifier.Allow {
		e.known(config.Selector(name), finding.Finding{Severity: finding.Warning, ID: "allow-unknown", File: path, Line: finding.LineOf(data, "allow"), What: "verifier.allow names ",
			Follows: "The server that is meant may not ask for anybody."})
	}
}

func (e *exam) known(selector config.Selector, f finding.Finding) {
	lookup, what, name := e.Machine.UserKnown, "the user ", string(selector)
	if group := selector.Group(); group != "" {
		lookup, what, name = e.Machine.GroupKnown, "the group ", group
	}
	if selector == config.All {
		return
	}
	found, err := lookup(name)
	switch {
	case err != nil:
		f.What += what + name + ", which cannot be looked up: " + err.Error() + "."
		f.Fix = "See that the name service answers: getent passwd, getent group."
	case !found:
		f.What += what + name + ", unknown to this machine."
		f.Fix = "Correct the name, or take it out."
	default:
		return
	}
	e.add(f)
}

// requiresAll is what follows from a group in policy.require that cannot be looked up.
func (e *exam) requiresAll() string {
	const all = "A group that cannot be looked up counts for everybody: "
	const who = all + "whoever has not enrolled, and is not exempt, "
	once := ""
	if e.inGrace() {
		once = " once policy.grace is over"
	}
	switch e.settings.Policy.Unenrolled {
	case config.Enroll:
		return who + "has to at the next login" + once + "."
	case config.Invite:
		return who + "is refused" + once + " until they enroll by a link."
	case config.Allow:
		return all + `it requires nothing of those who have not enrolled, as policy.unenrolled = "allow". Once there is such a group, it counts for its members alone.`
	}
	return who + "is refused" + once + "."
}
