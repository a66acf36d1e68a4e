package origins

import (
	"net/netip"
	"testing"
)

// The last addresses of each are remembered, of IPv6 their networks, whatever others do.
func TestOrigins(t *testing.T) {
	var o Origins
	addr := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	o.Note("alice", netip.MustParseAddr("2001:db8::1"))
	for n := range byte(20) {
		o.Note("bob", addr(n))
		o.Note("bob", addr(n))
	}
	for n := range byte(20) {
		if has := o.Has(addr(n)); has != (n >= 20-each) {
			t.Errorf("%s is remembered: %t", addr(n), has)
		}
	}
	for text, want := range map[string]bool{"2001:db8::2": true, "2001:db8:0:1::1": false, "192.0.2.100": false} {
		if has := o.Has(netip.MustParseAddr(text)); has != want {
			t.Errorf("%s is remembered: %t", text, has)
		}
	}
}
