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
		if has := o.Has(addr(n)); has != (n >= 20-Each) {
			t.Errorf("%s is remembered: %t", addr(n), has)
		}
	}
	for text, want := range map[string]bool{"2001:db8::2": true, "2001:db8:0:1::1": false, "192.0.2.100": false} {
		if has := o.Has(netip.MustParseAddr(text)); has != want {
			t.Errorf("%s is remembered: %t", text, has)
		}
	}
}

// An address is remembered for as long as it is one of the last of anybody, and no longer;
// what is looked up is no more than what is remembered.
func TestOriginsOfSeveral(t *testing.T) {
	var o Origins
	office := netip.MustParseAddr("192.0.2.7")
	o.Note("alice", office)
	o.Note("bob", office)
	moves := func(who string, net byte) {
		for n := range byte(Each) {
			o.Note(who, netip.AddrFrom4([4]byte{198, 51, net, n}))
		}
	}
	if moves("alice", 100); !o.Has(office) {
		t.Error("forgotten while bob was there")
	}
	if moves("bob", 101); o.Has(office) {
		t.Error("remembered though nobody was there any more")
	}
	if len(o.by) != 2*Each {
		t.Errorf("%d addresses can be looked up, expected %d", len(o.by), 2*Each)
	}
	if moves("bob", 100); len(o.by) != Each {
		t.Errorf("%d addresses can be looked up, expected %d", len(o.by), Each)
	}
}
