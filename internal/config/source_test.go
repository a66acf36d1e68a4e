package config

import (
	"net/netip"
	"testing"
)

// What one stranger does behind a translator is not held against all others there.
func TestSourceOf(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32",
		"2001:db8::1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64", "::1": "::/64",
		"64:ff9b::c000:201": "64:ff9b::c000:201/128", "64:ff9b::c000:202": "64:ff9b::c000:202/128",
		"64:ff9b:1:2::c000:201": "64:ff9b:1:2::c000:201/128", "64:ff9b:2::c000:201": "64:ff9b:2::/64", "64:ff9b:0:0:1::": "64:ff9b::/64",
	} {
		if got := SourceOf(netip.MustParseAddr(text)).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := SourceOf(netip.Addr{}); got.IsValid() {
		t.Errorf("of no address: %s", got)
	}
}
