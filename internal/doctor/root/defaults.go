package root

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// holding are the Defaults that have an option for a rule that makes root: of each
// type those that are about it.
func (r *reading) holding(name string, about rule) (set bool, value any, who entry) {
	who = about.who
	for _, kind := range types {
		for _, d := range r.defaults[kind] {
			ok, v := option(d.Options, name)
			if whom, binds := r.binds(kind, d.Binding, about); ok && binds {
				set, value, who = true, v, whom
			}
		}
	}
	return set, value, who
}

// binds says whether Defaults of a type are about a rule, and for whom: who is
// named may be one of those whom the rule is for.
func (r *reading) binds(kind string, binding []entry, about rule) (who entry, ok bool) {
	switch kind {
	case "global":
		return about.who, true
	case "host":
		return about.who, here(r.Machine, binding)
	case "runas":
		return about.who, slices.ContainsFunc(binding, func(e entry) bool { return !e.Negated && (e.isRoot() || e.Username == "ALL") })
	case "command":
		return about.who, slices.ContainsFunc(binding, func(e entry) bool {
			return !e.Negated && (e.Command == "ALL" || strings.Contains(", "+about.commands+", ", ", "+e.Command+", "))
		})
	}
	for _, e := range binding {
		switch {
		case r.people.has(e, about.who):
			return about.who, true
		case !e.Negated && !e.isRoot() && r.people.has(about.who, e):
			return e, true
		}
	}
	return entry{}, false
}

// defaultsOff says whether Defaults keep sudo from asking by a rule that says
// nothing about it.
func (r *reading) defaultsOff(about rule) (who entry, off bool) {
	set, value, who := r.holding("authenticate", about)
	return who, !about.tagged && set && value == false
}

// byDefault finds Defaults by which sudo asks for nothing, or for the password of
// somebody else.
func (r *reading) byDefault() {
	said := map[string][]string{}
	var order []string
	note := func(option string, who entry) {
		if said[option] == nil {
			order = append(order, option)
		}
		if !slices.Contains(said[option], who.named()) {
			said[option] = append(said[option], who.named())
		}
	}
	for _, about := range r.toRoot(r.Machine) {
		if who, off := r.defaultsOff(about); off && about.all {
			note("authenticate", who)
		}
		if exempt, group, who := r.holding("exempt_group", about); exempt && about.asks && r.exempted(about.who, fmt.Sprint(group)) {
			note("exempt_group", who)
		}
		if set, value, who := r.holding("timestamp_timeout", about); set && about.asks && strings.HasPrefix(fmt.Sprint(value), "-") {
			note("timestamp_timeout", who)
		}
		for _, option := range []string{"rootpw", "targetpw", "runaspw"} {
			if set, value, who := r.holding(option, about); set && value == true && about.asks {
				note(option, who)
			}
		}
	}
	for _, option := range order {
		r.tell(option, said[option])
	}
}

// exempted says whether members of a group, who are asked for nothing, have a rule.
func (r *reading) exempted(who entry, group string) bool {
	return r.people.has(entry{Usergroup: group}, who) || who.Username == "ALL"
}

func (r *reading) tell(option string, who []string) {
	whom := everybody(strings.Join(who, ", "))
	switch option {
	case "authenticate":
		place := r.defaultsAt("!authenticate")
		r.add(finding.At(place, r.nopasswd(rule{all: true}, "By !authenticate sudo asks for nothing, and makes root of: "+whom+".", "Take !authenticate out: visudo -f "+place.File+".")))
	case "exempt_group":
		place := r.defaultsAt("exempt_group")
		r.add(finding.At(place, r.nopasswd(rule{all: true}, "By exempt_group sudo asks members of that group for nothing, and makes root of: "+whom+".", "Take exempt_group out: visudo -f "+place.File+".")))
	case "timestamp_timeout":
		place := r.defaultsAt("timestamp_timeout")
		r.add(finding.At(place, finding.Finding{Severity: finding.Warning, ID: "sudo-remembers", Services: r.services,
			What:    "By a timestamp_timeout below zero sudo asks once and then, until the machine starts again, for nothing: " + whom + ".",
			Follows: "Whoever comes to that terminal, or to the account where timestamp_type is global, becomes root without a password and without a code.",
			Fix:     "Take timestamp_timeout out: visudo -f " + place.File + ". Without it sudo asks again after some minutes."}))
	default:
		f := finding.At(r.defaultsAt(option), finding.Finding{Severity: finding.Warning, ID: "sudo-asks-for-root", Services: r.services,
			What:    "By " + option + " sudo asks for the password and the code of root, and not of those who use it: " + whom + ".",
			Follows: "Root is asked for no code: who knows root's password becomes root with that alone.",
			Fix:     "Take " + option + " out, so that sudo asks whoever uses it. To have root asked: " + r.ToAskRoot + "."})
		if r.ToAskRoot == "" {
			f.Severity = finding.Note
			f.Follows = "Their own codes are good for nothing there: they need root's device."
			f.Fix = "If that is not meant, take " + option + " out."
		}
		r.add(f)
	}
}

// named are sudo's options that name a PAM service.
var named = []string{"pam_service", "pam_login_service", "pam_askpass_service"}

// ownServices are sudo's own PAM services, by the option that names another.
var ownServices = map[string]string{"sudo": "pam_service", "sudo-i": "pam_login_service"}

// rust is where sudo-rs is: beside sudo, or in its place by the alternatives of a
// distribution; and what it alone reads.
var rust = []string{"/usr/bin/sudo-rs", "/usr/lib/cargo/bin/sudo", "/etc/sudoers-rs"}

// Unused says whether sudo asks for another PAM service in the place of one of its own,
// whoever uses it. sudo-rs has no option for that, and asks for its own.
func (e *Exam) Unused(service string) bool {
	named, ok := ownServices[service]
	return ok && !slices.ContainsFunc(rust, e.Machine.Has) && len(e.readings) > 0 && !slices.ContainsFunc(e.readings, func(r reading) bool {
		set, value := r.global(named)
		for _, kind := range types {
			for _, d := range r.defaults[kind] {
				if some, v := option(d.Options, named); some && strings.EqualFold(fmt.Sprint(v), service) {
					return true // for some it is that one all the same, or was said so before
				}
			}
		}
		return !set || strings.EqualFold(fmt.Sprint(value), service)
	})
}

// others finds PAM services of sudo's that are not those with the line.
func (r *reading) others() {
	for _, o := range []struct{ option, way string }{{"pam_service", "sudo"}, {"pam_login_service", "sudo -i"}, {"pam_askpass_service", "sudo -A"}} {
		for _, kind := range types {
			for _, d := range r.defaults[kind] {
				set, value := option(d.Options, o.option)
				service := strings.ToLower(fmt.Sprint(value))
				if !set || kind == "host" && !here(r.Machine, d.Binding) {
					continue
				}
				asks, there := r.asks(service)
				if asks {
					continue
				}
				f := finding.At(r.defaultsAt(o.option), finding.Finding{Severity: finding.Error, ID: "sudo-other-service", Services: []string{service},
					What:    fmt.Sprintf("By %s %s asks PAM for the service %s, and no line of that asks for a code.", o.option, o.way, service),
					Follows: "It asks for what that service does, and for no code.",
					Fix:     fmt.Sprintf("otpctl pam enable %s --argument protocol=sudo, or take %s out.", service, o.option)})
				if !there {
					f.Fix = fmt.Sprintf("Take %s out: there is no /etc/pam.d/%s, so that the service other stands in for it.", o.option, service)
				}
				if kind != "global" {
					f.Severity = finding.Warning // for some
				}
				r.add(f)
			}
		}
	}
}
