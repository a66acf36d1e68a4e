package asking

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// families are the addresses that strangers come from.
var families = []struct {
	name string
	all  netip.Prefix
}{
	{"IPv4", netip.MustParsePrefix("0.0.0.0/0")},
	{"IPv6", netip.MustParsePrefix("2000::/3")}, // all that is public
}

// local are protocols of services that have no remote address.
var local = []config.Protocol{"sudo", "su", "login"}

// everywhere finds trusted networks that nobody is outside of.
func (e *exam) everywhere(p Service) (f finding.Finding, all bool) {
	networks := p.Settings.Policy.TrustedNetworks
	if len(networks) == 0 || slices.Contains(local, p.Stack.Protocol) {
		return f, false
	}
	var covered []string
	for _, family := range families {
		if covers(networks, family.all) {
			covered = append(covered, family.name)
		}
	}
	if len(covered) == 0 {
		return f, false
	}
	texts := make([]string, len(networks))
	for i, network := range networks {
		texts[i] = network.String()
	}
	f = e.why(p, "trusted_networks", list(texts), finding.Finding{Severity: finding.Error,
		Fix: "Name networks in which nobody is a stranger, or take it out."})
	if len(covered) == 1 {
		f.What = fmt.Sprintf("Nobody who comes by %s is asked for a code at SERVICE, because policy.trusted_networks = %s in %s.", covered[0], list(texts), p.File)
		f.Follows = "Whoever comes that way and has a password gets in with that alone."
	}
	return f, true
}

// covers says whether every address of a network is in one of these.
func covers(networks []config.Network, all netip.Prefix) bool {
	overlap := false
	for _, n := range networks {
		if n.Prefix.Bits() <= all.Bits() && n.Prefix.Overlaps(all) {
			return true
		}
		overlap = overlap || n.Prefix.Overlaps(all)
	}
	if !overlap {
		return false
	}
	lower, upper := halves(all)
	return covers(networks, lower) && covers(networks, upper)
}

// halves are the two networks that one is made of.
func halves(all netip.Prefix) (lower, upper netip.Prefix) {
	bits := all.Bits()
	bytes := all.Masked().Addr().AsSlice()
	bytes[bits/8] |= 1 << (7 - bits%8)
	high, _ := netip.AddrFromSlice(bytes) // of as many bytes as it came from
	return netip.PrefixFrom(all.Masked().Addr(), bits+1), netip.PrefixFrom(high, bits+1)
}
