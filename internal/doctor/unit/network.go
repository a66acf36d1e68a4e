package unit

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// networks are words of IPAddressAllow= and IPAddressDeny= that stand for addresses: see
// systemd.resource-control(5).
var networks = map[string][]string{
	"any": {"0.0.0.0/0", "::/0"}, "localhost": {"127.0.0.0/8", "::1/128"},
	"link-local": {"169.254.0.0/16", "fe80::/64"}, "multicast": {"224.0.0.0/4", "ff00::/8"},
}

// network takes one line about addresses; an empty value takes back those before.
func (p *parser) network(to *[]Word, place pamstack.Position, value string) {
	if value == "" {
		*to = nil
	}
	for _, word := range strings.Fields(value) {
		*to = append(*to, Word{place, word})
	}
}

// MayReach says whether the service's processes may speak with an address: what is
// allowed is, then what is denied is not, and all others are.
func (s *Service) MayReach(address netip.Addr) bool {
	return among(s.allow, address) || !among(s.deny, address)
}

func among(words []Word, address netip.Addr) bool {
	return slices.ContainsFunc(words, func(word Word) bool {
		ranges, named := networks[word.Text]
		if !named {
			ranges = []string{word.Text}
		}
		return slices.ContainsFunc(ranges, func(text string) bool {
			if single, err := netip.ParseAddr(text); err == nil {
				return single == address
			}
			prefix, err := netip.ParsePrefix(text)
			return err == nil && prefix.Contains(address)
		})
	})
}

// MayReachAny says whether nothing keeps the service's processes from any address.
func (s *Service) MayReachAny() bool {
	has := func(word Word) bool { return word.Text == "any" }
	return len(s.deny) == 0 || slices.ContainsFunc(s.allow, has)
}

// MayLeave says whether they may speak with any other machine at all.
func (s *Service) MayLeave() bool {
	kept := slices.ContainsFunc(s.deny, func(word Word) bool { return word.Text == "any" || strings.HasSuffix(word.Text, "/0") })
	return !kept || slices.ContainsFunc(s.allow, func(word Word) bool { return word.Text != "localhost" })
}

// Denies is where the last line is that keeps the service's processes from an address.
func (s *Service) Denies() pamstack.Position {
	if len(s.deny) == 0 {
		return pamstack.Position{}
	}
	return s.deny[len(s.deny)-1].Position
}
