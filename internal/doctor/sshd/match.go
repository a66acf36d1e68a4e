package sshd

import (
	"net/netip"
	"slices"
	"strings"
)

// decisive are the keywords that say how people get in.
var decisive = []string{"usepam", "kbdinteractiveauthentication", "passwordauthentication", "pubkeyauthentication",
	"authenticationmethods", "gssapiauthentication", "hostbasedauthentication", "permitemptypasswords",
	pamServiceName}

// matches are the Match lines under which a decisive keyword stands.
func (v view) matches() []setting {
	var found []setting
	for _, s := range v.settings {
		if s.match != nil && slices.Contains(decisive, s.keyword) &&
			!slices.ContainsFunc(found, func(m setting) bool { return m.Place == s.match.Place }) {
			found = append(found, *s.match)
		}
	}
	return found
}

// spec makes up a login that a Match line is about, for sshd -T -C. Of a group
// no member is known here.
func (s setting) spec() (spec string, good bool) {
	with := map[string]string{"user": "nobody", "host": "host.example", "addr": "192.0.2.1"}
	words := strings.Fields(strings.ReplaceAll(s.value, "=", " "))
	for i := 0; i < len(words); i += 2 {
		kind := strings.ToLower(words[i])
		if kind == "all" {
			i--
			continue
		}
		if i+1 == len(words) {
			return "", false
		}
		sample, found := sampleOf(words[i+1])
		if !found {
			return "", false
		}
		switch kind {
		case "user", "host":
			with[kind] = sample
		case "address":
			with["addr"] = sample
		case "localaddress":
			with["laddr"] = sample
		case "localport":
			with["lport"] = sample
		default:
			return "", false
		}
	}
	var parts []string
	for _, key := range []string{"user", "host", "addr", "laddr", "lport"} {
		if with[key] != "" {
			parts = append(parts, key+"="+with[key])
		}
	}
	return strings.Join(parts, ","), true
}

// sampleOf makes up something that a list of patterns matches.
func sampleOf(patterns string) (string, bool) {
	for pattern := range strings.SplitSeq(strings.Trim(patterns, `"`), ",") {
		if strings.HasPrefix(pattern, "!") || pattern == "" {
			continue
		}
		if network, err := netip.ParsePrefix(pattern); err == nil {
			return network.Addr().String(), true
		}
		return strings.NewReplacer("*", "x", "?", "x").Replace(pattern), true
	}
	return "", false
}
