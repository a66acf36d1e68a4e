package asking

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// notAll finds who is not asked at a place where others are.
func (e *exam) notAll(p Service) (found []finding.Finding) {
	for _, look := range []func(Service) (finding.Finding, bool){e.some, e.here} {
		if f, ok := look(p); ok {
			found = append(found, f)
		}
	}
	return found
}

// some finds people whom the policy requires a code of, and who are asked for none at a
// place where others are: their secret files have protocols of their own.
func (e *exam) some(p Service) (f finding.Finding, found bool) {
	protocol, policy := p.Stack.Protocol, p.Settings.Policy
	if protocol == "" || !slices.Contains(policy.Protocols, protocol) {
		return f, false
	}
	var names []string
	var first Person
	for _, person := range p.People {
		if person.Protocols == nil || slices.Contains(person.Protocols, protocol) || e.exempts(p, person.Name) || e.keepsOut(p, person.Name) ||
			!slices.ContainsFunc(policy.Require, func(s config.Selector) bool { return e.selects(s, person.Name) }) {
			continue
		}
		if names = append(names, person.Name); len(names) == 1 {
			first = person
		}
	}
	if len(names) == 0 {
		return f, false
	}
	return finding.Finding{Severity: finding.Warning, ID: "required-not-asked", Services: []string{p.Stack.Service}, File: p.Settings.Paths.Users,
		What:    fmt.Sprintf("policy.require names these people, and the protocols = […] of their own in their secret files leave out %s: %s.", protocol, finding.Some(names)),
		Follows: "Their own protocols stand in the place of the policy's: they get in with the password alone. sshd is ssh, also for the SFTP inside it.",
		Fix:     fmt.Sprintf("otpctl set %s --protocols %s", first.Name, joined(append(slices.Clone(first.Protocols), protocol)))}, true
}

// reached are protocols of services that strangers reach over the network.
var reached = []config.Protocol{"ssh", "sftp", "ftp", "ftps", "http", "https", "webdav"}

// here finds that who comes by way of the machine itself is not asked: its users, tunnels,
// and programs that pass connections on, for which everybody comes from there.
func (e *exam) here(p Service) (f finding.Finding, found bool) {
	policy := p.Settings.Policy
	local := slices.IndexFunc(policy.TrustedNetworks, func(n config.Network) bool { return n.Addr().IsLoopback() })
	if local < 0 || !slices.Contains(reached, p.Stack.Protocol) {
		return f, false
	}
	f = finding.Finding{Severity: finding.Warning, ID: "loopback-trusted", Services: []string{p.Stack.Service}, File: p.File, Line: finding.LineOf(p.Text, "trusted_networks"),
		What:    "policy.trusted_networks has " + policy.TrustedNetworks[local].String() + ", which is the machine itself.",
		Follows: "Its users, whoever has a tunnel to it, and everybody who comes by a program that passes connections on, such as sslh, are asked for no code there.",
		Fix:     "Take it out. What logs in from the machine itself may be named in policy.exempt."}
	if place, relays := e.relay(p); relays {
		f.Severity = finding.Error
		f.What += " " + place.String() + " has connections passed on to " + p.Stack.Service + ", for which they all come from there."
		f.Follows = "Everybody gets in by way of that with the password alone, wherever they are."
	}
	return f, true
}

// relays are the files of programs that pass connections on.
var relays = []string{"/etc/default/sslh", "/etc/sslh.cfg", "/etc/sslh/*.cfg", "/etc/sysconfig/sslh", "/etc/haproxy/*.cfg", "/etc/haproxy/conf.d/*.cfg", "/etc/stunnel/*.conf",
	"/etc/nginx/nginx.conf", "/etc/nginx/stream.d/*.conf", "/etc/nginx/streams-enabled/*", "/etc/nginx/modules-enabled/*.conf", "/etc/tor/torrc", "/etc/frp/*.toml", "/etc/frp/*.ini",
	"/etc/rinetd.conf", "/etc/xinetd.d/*", "/etc/systemd/system/*.service", "/etc/cloudflared/*.yml", "/etc/gost/*.yml", "/etc/traefik/*.yml"}

// toHere is an address of the machine itself with a port.
var toHere = regexp.MustCompile(`(?:\b127\.\d+\.\d+\.\d+|\blocalhost|\[::1\])(?::|\s+|";\s*port:\s*")(\d+)\b`)

// relay finds where connections are passed on to sshd.
func (e *exam) relay(p Service) (at pamstack.Position, found bool) {
	if p.Stack.Service != "sshd" {
		return at, false
	}
	ports := e.ports()
	for _, pattern := range relays {
		for _, file := range e.machine.Glob(pattern) {
			for place, line := range target.Lines(e.machine.Root, file, 0) {
				match := toHere.FindStringSubmatch(line)
				if match != nil && slices.Contains(ports, match[1]) && !strings.HasPrefix(line, "#") && !strings.Contains(line, "--transparent") {
					return place, true
				}
			}
		}
	}
	return at, false
}

// ports are those at which sshd listens.
func (e *exam) ports() (all []string) {
	text, _ := e.machine.InForce(e.ctx) // without it the usual one is looked for
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == "port" {
			all = append(all, words[1])
		}
	}
	if len(all) == 0 {
		all = []string{"22"}
	}
	return all
}
