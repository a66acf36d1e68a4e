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
	if strings.Contains(pattern, "/") {
		network, err := netip.ParsePrefix(pattern)
		// sshd takes a network with host bits for a mistake and refuses all.
		if err != nil || network != network.Masked() {
			return false, false
		}
		return network.Contains(remote), true
	}
	if addr, err := netip.ParseAddr(pattern); err == nil {
		return addr.Unmap() == remote, true
	}
	return wildcard(strings.ToLower(pattern), remote.String()), pattern != ""
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
