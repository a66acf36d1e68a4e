package config

import (
	"net/netip"
	"slices"
)

// translated are networks in which a translator shows IPv4 clients, all over the
// world in one /64 (RFC 6052, section 2.1; RFC 8215).
var translated = []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48")}

// IsTranslated says whether an address stands for an IPv4 one.
func IsTranslated(addr netip.Addr) bool {
	return slices.ContainsFunc(translated, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// SourceOf is the network of an address whose connections and failures count
// together: the address if it is IPv4 or stands for one, else its /64, as everybody
// has all of that. That of no address is no network.
func SourceOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() && !IsTranslated(addr) {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked()
}
