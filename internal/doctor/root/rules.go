package root

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
)

func number(n int) string { return strconv.Itoa(n) }

// rule is one of sudoers' for one name that it has.
type rule struct {
	who entry
	// commands are as written, and all says that they are, or are as good as, all.
	commands string
	all      bool
	// spec is which of the rules in sudoers it is a part of.
	spec int
	// tagged is whether it says PASSWD or NOPASSWD, and asks whether it asks.
	tagged, asks bool
}

// toRoot are the rules by which somebody but root runs commands as root here, in
// order.
func (s *sudoers) toRoot(m *target.Machine) (rules []rule) {
	for i, spec := range s.specs {
		if !here(m, spec.Hosts) {
			continue
		}
		for _, allowed := range spec.Commands {
			if !allowed.asRoot(s) {
				continue
			}
			r := rule{asks: true, spec: i}
			r.commands, r.all = allowed.commands()
			if set, value := option(allowed.Options, "authenticate"); set {
				r.tagged, r.asks = true, value != false
			}
			for _, who := range spec.Users {
				if r.who = who; !who.Negated && !who.isRoot() && r.commands != "" {
					rules = append(rules, r)
				}
			}
		}
	}
	return rules
}

// before is how many rules ahead of one have NOPASSWD for somebody.
func (s *sudoers) before(spec int, who string) (count int) {
	for _, earlier := range s.specs[:spec] {
		named := slices.ContainsFunc(earlier.Users, func(e entry) bool { return e.named() == who })
		if named && slices.ContainsFunc(earlier.Commands, func(a allowed) bool { _, value := option(a.Options, "authenticate"); return value == false }) {
			count++
		}
	}
	return count
}

func (e entry) isRoot() bool { return e.Username == "root" || e.UserID != nil && *e.UserID == 0 }

// asRoot says whether the commands may be run as root. Without a user it is the
// default one, or, if a group is named, whoever runs them.
func (a allowed) asRoot(s *sudoers) bool {
	if len(a.RunAsUsers) == 0 {
		set, name := s.global("runas_default")
		return len(a.RunAsGroups) == 0 && (!set || name == "root")
	}
	for i := len(a.RunAsUsers) - 1; i >= 0; i-- { // the last one counts
		if user := a.RunAsUsers[i]; user.isRoot() || user.Username == "ALL" || user.Usergroup == "root" {
			return !user.Negated
		}
	}
	return false
}

// runners are programs that run any other for whoever runs them: shells,
// interpreters, editors and pagers, and those whose purpose it is.
var runners = strings.Fields("sh bash dash zsh ksh csh tcsh fish busybox su sudo doas runuser env nice ionice nohup timeout time xargs " +
	"watch script expect chroot unshare nsenter setpriv systemd-run machinectl strace ltrace gdb perl python ruby lua node php awk gawk mawk " +
	"vi vim view nvim emacs ed less more man find docker podman visudo sudoedit")

// runs says whether a command is as good as all: it is all, or a runner whose
// arguments are anybody's.
func runs(command string) bool {
	program, arguments, _ := strings.Cut(command, " ")
	name := strings.TrimRight(filepath.Base(program), "0123456789.")
	return command == "ALL" || slices.Contains(runners, name) && (arguments == "" || arguments == "*")
}

// commands are those that are allowed, and whether they are as good as all.
func (a allowed) commands() (text string, all bool) {
	var names []string
	for _, command := range a.Commands {
		if command.Negated {
			continue
		}
		all = all || runs(command.Command)
		names = append(names, command.Command)
	}
	return strings.Join(names, ", "), all
}

// option is the last value of one among some.
func option(options []map[string]any, name string) (set bool, value any) {
	for _, one := range options {
		if v, ok := one[name]; ok {
			set, value = true, v
		}
	}
	return set, value
}

// global is the last value of one for everybody.
func (s *sudoers) global(name string) (set bool, value any) {
	for _, d := range s.defaults["global"] {
		if ok, v := option(d.Options, name); ok {
			set, value = true, v
		}
	}
	return set, value
}

// people says who is one of whom, as far as the name service tells.
type people struct {
	ctx     context.Context
	machine *target.Machine
	known   map[string]listing
}

// listing is a group's members, or why they are not known.
type listing struct {
	names []string
	err   error
}

// members lists those of a group.
func (p *people) members(group string) ([]string, error) {
	if of, known := p.known[group]; known {
		return of.names, of.err
	}
	members, err := p.machine.Members(p.ctx, []string{group}, func(name string) bool { return name == group })
	var names []string
	for _, member := range members {
		names = append(names, member.Name)
	}
	p.known[group] = listing{names, err}
	return names, err
}

// has says whether the one that is meant by a part of a list is surely among those
// that are meant by another.
func (p *people) has(among, who entry) bool {
	switch {
	case among.Negated:
		return false
	case among.Username == "ALL":
		return true
	case among.Usergroup != "" && who.Username != "":
		names, _ := p.members(among.Usergroup) // in doubt it is not sure
		return slices.Contains(names, who.Username)
	}
	return among.named() == who.named()
}
