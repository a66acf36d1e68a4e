package authkeys

import (
	"net/netip"
	"strings"
)

// fromMatches says whether a from= list holds the address. Addresses, networks
// and patterns of addresses match; names never do, as a name is whatever the
// other side's DNS says. A negated match, or one that is not understood there,
// refuses.
func fromMatches(list string, remote netip.Addr) bool {
	if !remote.IsValid() {
		return false
	}
	remote = remote.Unmap().WithZone("")
	found := false
	for pattern := range strings.SplitSeq(list, ",") {
		pattern = strings.TrimSpace(pattern)
		pattern, negated := strings.CutPrefix(pattern, "!")
		matches, understood := fromOne(pattern, remote)
		switch {
		case !understood:
			return false
		case matches && negated:
			return false
		case matches:
			found = true
		}
	}
	return found
}

func fromOne(pattern string, remote netip.Addr) (matches, understood bool) {
	if network, ok := parseNetwork(pattern); ok {
		return network.Contains(remote), true
	}
	if strings.Contains(pattern, "/") {
		return false, false
	}
	return wildcard(strings.ToLower(pattern), remote.String()), pattern != ""
}

// parseNetwork reads a network, or an address as a network of one. sshd takes a
// network with host bits for a mistake and refuses all.
func parseNetwork(text string) (netip.Prefix, bool) {
	if strings.Contains(text, "/") {
		network, err := netip.ParsePrefix(text)
		return network, err == nil && network == network.Masked()
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// InNetworks says whether a list of addresses and networks, as certificates
// have them, holds the address. One that is not understood refuses.
func InNetworks(list string, remote netip.Addr) bool {
	if !remote.IsValid() {
		return false
	}
	remote = remote.Unmap().WithZone("")
	found := false
	for text := range strings.SplitSeq(list, ",") {
		network, ok := parseNetwork(text)
		if !ok {
			return false
		}
		found = found || network.Contains(remote)
	}
	return found
}

// wildcard matches with * for any text and ? for one character.
func wildcard(pattern, text string) bool {
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*':
			p++
			t++
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
