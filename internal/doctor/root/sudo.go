package root

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// files are what sudo and sudo-rs read; the latter only if it is there.
var files = []string{"/etc/sudoers", "/etc/sudoers-rs"}

// sudo looks whether it asks those whom its stack is to ask.
func (e *exam) sudo(ctx context.Context) {
	own := e.guarded("sudo", "sudo-i")
	if len(own) == 0 && !slices.ContainsFunc(e.Stacks, func(s authstack.Stack) bool { return len(s.Checks) > 0 }) {
		return
	}
	var all []string
	for _, file := range files {
		if !e.Machine.Has(file) {
			continue
		}
		s, err := read(ctx, e.Machine, file)
		services := own
		switch {
		case err != nil && len(own) == 0:
			services = e.perhapsSudos()
		case len(own) == 0:
			services = e.inItsPlace(s)
			if len(services) == 0 && len(e.sudoersElsewhere()) > 0 {
				services = e.perhapsSudos() // which may be named there
			}
		}
		if len(services) == 0 {
			continue
		}
		all = services
		if err != nil {
			e.unread(s.place(err), services, err)
			continue
		}
		r := reading{exam: e, sudoers: s, services: services, people: &people{ctx, e.Machine, map[string]listing{}}}
		e.readings = append(e.readings, r)
		r.unasked()
		r.byDefault()
		r.others()
	}
	if len(all) > 0 {
		e.elsewhere(all)
	}
}

// inItsPlace are the services that ask for codes and that sudo asks for by its own
// settings, in place of those of its package.
func (e *exam) inItsPlace(s *sudoers) (found []string) {
	for _, name := range named {
		for _, kind := range types {
			for _, d := range s.defaults[kind] {
				set, value := option(d.Options, name)
				service := strings.ToLower(fmt.Sprint(value)) // as pam_start(3)
				if set && len(e.guarded(service)) > 0 && !slices.Contains(found, service) && (kind != "host" || here(e.Machine, d.Binding)) {
					found = append(found, service)
				}
			}
		}
	}
	return found
}

// otherPrograms are services with sudo's protocol that are not sudo's.
var otherPrograms = []string{"doas", "polkit-1", "su", "su-l", "systemd-run0"}

// perhapsSudos are services of other names with sudo's protocol: where sudo's settings
// cannot be read they may name them.
func (e *exam) perhapsSudos() (found []string) {
	for _, s := range e.Stacks {
		if len(s.Checks) > 0 && s.Protocol == "sudo" && !slices.Contains(otherPrograms, s.Service) {
			found = append(found, s.Service)
		}
	}
	return found
}

// unread is about rules that could not be looked at.
func (e *exam) unread(place pamstack.Position, services []string, err error) {
	what := atStdin.ReplaceAllString(err.Error(), "")
	f := finding.At(place, finding.Finding{Severity: finding.Warning, ID: "sudoers-untried", Services: services,
		What:    "What sudo asks for was not looked at: " + what + ".",
		Follows: "A rule with NOPASSWD would make root without a code, and nobody would see it.",
		Fix:     "visudo -c names what is wrong."})
	if errors.Is(err, fs.ErrPermission) {
		f.Fix = "Run otpctl doctor as root."
	}
	if errors.Is(err, target.ErrNoSudoers) {
		f.Severity, f.Fix = finding.Note, "Install cvtsudoers, which comes with sudo; or look for NOPASSWD, !authenticate, rootpw and targetpw by hand."
	}
	e.add(f)
}

// atStdin is how the parser names a place in what it was given.
var atStdin = regexp.MustCompile(`stdin:(\d+):(\d+: )?`)

// place is where the parser found a mistake, the whole file if it says nothing.
func (s *sudoers) place(err error) pamstack.Position {
	if match := atStdin.FindStringSubmatch(err.Error()); match != nil {
		if n, err := strconv.Atoi(match[1]); err == nil && n > 0 && n <= len(s.lines) {
			return s.lines[n-1].Position
		}
	}
	return pamstack.Position{File: s.main}
}

// elsewhere is about rules that are in no file.
func (e *exam) elsewhere(services []string) {
	for place, others := range e.sudoersElsewhere() {
		e.add(finding.At(place, finding.Finding{Severity: finding.Warning, ID: "sudoers-untried", Services: services,
			What:    "sudo has rules from elsewhere too, which were not looked at: " + strings.Join(others, ", ") + ".",
			Follows: "A rule with !authenticate there would make root without a code.",
			Fix:     "sudo -l -U USER as root lists what somebody may do; NOPASSWD is what to look for."}))
	}
}

// sudoersElsewhere are the other places than files that sudo takes rules and settings from,
// by the line that says so.
func (e *exam) sudoersElsewhere() map[pamstack.Position][]string {
	all := map[pamstack.Position][]string{}
	for place, text := range target.Lines(e.Machine.Root, "/etc/nsswitch.conf", 0) {
		others := slices.DeleteFunc(nss.ServicesOf([]byte(text), "sudoers"), func(source string) bool { return source == "files" })
		if len(others) > 0 {
			all[place] = others
		}
	}
	return all
}

// reading is one file of rules.
type reading struct {
	*exam
	*sudoers
	services []string
	people   *people
}

// unasked finds rules by which somebody becomes root without being asked.
func (r *reading) unasked() {
	rules := r.toRoot(r.Machine)
	for i, rule := range rules {
		if rule.asks || r.overridden(rule, rules[i+1:]) {
			continue
		}
		who := rule.who.named()
		places := r.at(func(first string) bool { return r.begins(first, who) }, "NOPASSWD")
		place := places[min(r.before(rule.spec, who), len(places)-1)]
		r.add(finding.At(place, r.nopasswd(rule, fmt.Sprintf("By NOPASSWD %s may run as root: %s.", everybody(who), rule.commands),
			"Take NOPASSWD out: visudo -f "+place.File+".")))
	}
}

// nopasswd is about somebody who is not asked.
func (r *reading) nopasswd(rule rule, what, fix string) finding.Finding {
	f := finding.Finding{Severity: finding.Warning, ID: "sudo-nopasswd", Services: r.services, What: what, Fix: fix,
		Follows: "Who is in as such a user, however that was, becomes root without a password and without a code. sudo has PAM ask for nothing."}
	switch {
	case !rule.all:
		f.Severity = finding.Note
		f.Follows = "sudo has PAM ask for nothing then. How much of root's power these commands give is not looked at."
	case rule.who.Usergroup != "" && r.empty(rule.who.Usergroup):
		f.Severity = finding.Note
		f.Follows = "The group has no members now. Whoever becomes one is root without a password and without a code."
	}
	return f
}

// empty says whether a group is surely there and has nobody.
func (r *reading) empty(group string) bool {
	known, err := r.Machine.GroupKnown(group)
	members, unlisted := r.people.members(group)
	return err == nil && known && unlisted == nil && len(members) == 0
}

// overridden says whether a later rule has sudo ask after all: the last one that
// fits counts.
func (r *reading) overridden(earlier rule, later []rule) bool {
	return slices.ContainsFunc(later, func(l rule) bool {
		fits := l.asks && strings.Contains(", "+l.commands+", ", ", ALL, ") && r.people.has(l.who, earlier.who)
		l.who = earlier.who
		_, off := r.defaultsOff(l)
		return fits && !off
	})
}

// begins says whether a line's list of users has a name, or an alias of it.
func (r *reading) begins(first, who string) bool {
	return slices.ContainsFunc(strings.Split(first, ","), func(name string) bool {
		return name == who || strings.Trim(name, `"`) == who || r.alias(name, who)
	})
}

// alias says whether a name is a User_Alias with somebody in it.
func (r *reading) alias(name, who string) bool {
	if name == "" || strings.ToUpper(name) != name {
		return false
	}
	return slices.ContainsFunc(r.lines, func(l line) bool {
		rest, ok := strings.CutPrefix(strings.TrimSpace(l.text), "User_Alias")
		return ok && strings.Contains(rest, name) && strings.Contains(rest, who)
	})
}

func everybody(who string) string {
	if who == "ALL" {
		return "everybody"
	}
	return who
}

// defaultsAt is the line of a Defaults with an option.
func (r *reading) defaultsAt(option string) pamstack.Position {
	places := r.at(func(first string) bool { return strings.HasPrefix(first, "Defaults") }, option)
	return places[len(places)-1]
}

// su is about root's code, which it asks for where it makes root.
func (e *exam) su() {
	services := e.guarded("su", "su-l")
	if len(services) == 0 || e.ToAskRoot == "" || !e.rootHasPassword() {
		return
	}
	e.add(finding.Finding{Severity: finding.Warning, ID: "su-root-unasked", Services: services,
		What:    "su asks for the code of the one whom somebody becomes, and root is asked for none.",
		Follows: "Who knows root's password becomes root with that alone.",
		Fix:     "To have root asked: " + e.ToAskRoot + ". Or lock root's password, if sudo is the way: passwd -l root."})
}

// rootHasPassword says whether root's is known to be one that can be typed.
func (e *exam) rootHasPassword() bool {
	text, err := target.Read(e.Machine.Root, "/etc/shadow")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(line, ":")
		if len(fields) > 1 && fields[0] == "root" {
			return strings.HasPrefix(fields[1], "$") || strings.HasPrefix(fields[1], "_")
		}
	}
	return false
}
