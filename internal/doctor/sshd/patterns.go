package sshd

import (
	"net/netip"
	"slices"
	"strings"
)

// outcome is what a list of patterns says of something.
type outcome uint8

const (
	notMatched outcome = iota
	matched
	leftOut // by a pattern behind "!", which counts wherever it stands
)

// matchesList is sshd's rule for lists, see PATTERNS in ssh_config(5).
func matchesList(list, text string) outcome {
	found := notMatched
	for pattern := range strings.SplitSeq(list, ",") {
		bare, negated := strings.CutPrefix(pattern, "!")
		switch {
		case !matchesPattern(bare, text):
		case negated:
			return leftOut
		default:
			found = matched
		}
	}
	return found
}

// matchesPattern knows "*" and "?", and networks for addresses.
func matchesPattern(pattern, text string) bool {
	if network, err := netip.ParsePrefix(pattern); err == nil {
		address, err := netip.ParseAddr(text)
		return err == nil && network.Contains(address)
	}
	if pattern == "" {
		return text == ""
	}
	if pattern[0] == '*' {
		for i := range len(text) + 1 {
			if matchesPattern(pattern[1:], text[i:]) {
				return true
			}
		}
		return false
	}
	return text != "" && (pattern[0] == '?' || pattern[0] == text[0]) && matchesPattern(pattern[1:], text[1:])
}

// namesOf makes up names that all lists match, of each pattern one if it can.
func namesOf(lists []string, lower bool) []string {
	return samplesOf(lists, lower, func(pattern string) (tries []string) {
		for _, some := range []string{"x", "", "x1", "otpgate", "a-b.c", "0"} {
			tries = append(tries, strings.NewReplacer("*", some, "?", "x").Replace(pattern))
		}
		return append(tries, strings.NewReplacer("*", "q", "?", "7").Replace(pattern))
	})
}

// addressesOf makes up addresses.
func addressesOf(lists []string) []string {
	return samplesOf(lists, false, func(pattern string) (tries []string) {
		network, err := netip.ParsePrefix(pattern)
		if err != nil {
			for _, some := range []string{"192.0.2.7", "7", "77", "0.2.7", "2.7", "::7", "0", "1", "255"} {
				tries = append(tries, strings.NewReplacer("*", some, "?", "7").Replace(pattern))
			}
			return slices.DeleteFunc(tries, func(try string) bool {
				_, err := netip.ParseAddr(try)
				return err != nil
			})
		}
		first := network.Masked().Addr()
		tries = append(tries, first.String(), first.Next().String())
		for bit := network.Bits(); bit < first.BitLen(); bit++ {
			bytes := first.AsSlice()
			bytes[bit/8] |= 0x80 >> (bit % 8)
			if other, valid := netip.AddrFromSlice(bytes); valid {
				tries = append(tries, other.String())
			}
		}
		return tries
	})
}

// samplesOf has each pattern of the lists tried until all lists match.
func samplesOf(lists []string, lower bool, try func(pattern string) []string) (found []string) {
	for _, list := range lists {
		for pattern := range strings.SplitSeq(list, ",") {
			if lower {
				pattern = strings.ToLower(pattern)
			}
			for _, sample := range try(pattern) {
				fits := !slices.ContainsFunc(lists, func(l string) bool {
					if lower {
						l = strings.ToLower(l)
					}
					return matchesList(l, sample) != matched
				})
				if fits && sample != "" && !strings.HasPrefix(pattern, "!") {
					if !slices.Contains(found, sample) {
						found = append(found, sample)
					}
					break
				}
			}
		}
	}
	return found
}
