package asking

import (
	"slices"
	"sync"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Asker returns what says why somebody is asked for no code at a place, and what would
// have the person asked: "" for whoever is asked, or refused for want of a code. In doubt
// somebody is asked.
func (p Service) Asker(m *target.Machine) (fix func(name string) string) {
	e := &exam{machine: m, exempt: map[string]map[string]bool{}, left: map[string]*remaining{}, late: target.LookingUpFrom(m.Now)}
	policy, protocol := p.Settings.Policy, p.Stack.Protocol
	people := sync.OnceValue(func() map[string][]config.Protocol {
		own := make(map[string][]config.Protocol, len(p.People))
		for _, person := range p.People {
			own[person.Name] = person.Protocols
		}
		return own
	})
	return func(name string) string {
		if e.exempts(p, name) {
			return "take " + name + " out of policy.exempt"
		}
		protocols, enrolled := people()[name]
		required := policy.Unenrolled != config.Allow && slices.ContainsFunc(policy.Require, func(s config.Selector) bool { return e.selects(s, name) })
		switch {
		case p.Settings.Remote != nil:
			return ""
		case enrolled && protocols != nil && protocol != "" && !slices.Contains(protocols, protocol):
			return "otpctl set " + name + " --protocols " + joined(append(slices.Clone(protocols), protocol))
		case enrolled || required || e.doubt != nil:
			return ""
		}
		return "otpctl enroll " + name + ", or otpctl enable " + name + " if that was disabled"
	}
}
