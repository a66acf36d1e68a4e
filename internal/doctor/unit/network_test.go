package unit

import (
	"net/netip"
	"strings"
	"testing"
)

// What a unit lets its processes reach is as systemd.resource-control(5) says.
func TestMayReach(t *testing.T) {
	t.Parallel()
	const dropIn = etc + "a.service.d/x.conf"
	for name, c := range map[string]struct {
		unit, dropIn string
		// reached are addresses, those with ! in front not.
		reached    string
		leave, any bool
	}{
		"nothing said":     {"", "", "192.0.2.1 ::1", true, true},
		"localhost alone":  {"IPAddressDeny=any\nIPAddressAllow=localhost\n", "", "127.0.0.1 ::1 !192.0.2.1 !2001:db8::1", false, false},
		"a drop-in":        {"IPAddressDeny=any\nIPAddressAllow=localhost\n", "IPAddressAllow=any\n", "192.0.2.1 2001:db8::1", true, true},
		"one network":      {"IPAddressDeny=any\nIPAddressAllow=localhost\n", "IPAddressAllow=192.0.2.0/25 2001:db8::1\n", "192.0.2.1 !192.0.2.200 2001:db8::1 !2001:db8::2", true, false},
		"denied no more":   {"IPAddressDeny=any\n", "IPAddressDeny=\n", "192.0.2.1", true, true},
		"allowed no more":  {"IPAddressDeny=any\nIPAddressAllow=any\n", "IPAddressAllow=\n", "!192.0.2.1", false, false},
		"one is denied":    {"IPAddressDeny=192.0.2.7\n", "", "192.0.2.1 !192.0.2.7", true, false},
		"all, in numbers":  {"IPAddressDeny=0.0.0.0/0 ::/0\n", "", "!192.0.2.1 !2001:db8::1", false, false},
		"allowed is first": {"IPAddressDeny=192.0.2.0/24\nIPAddressAllow=192.0.2.7\n", "", "192.0.2.7 !192.0.2.1", true, false},
		"link-local":       {"IPAddressDeny=any\nIPAddressAllow=link-local\n", "", "fe80::1 169.254.0.1 !192.0.2.1", true, false},
	} {
		files := map[string]string{vendor + "a.service": "[Service]\nExecStart=/bin/d\n" + c.unit}
		if c.dropIn != "" {
			files[dropIn] = "[Service]\n" + c.dropIn
		}
		found := Services(tree(t, files), "a.service")
		if len(found) != 1 {
			t.Fatalf("%s: %+v", name, found)
		}
		s := &found[0]
		if s.MayLeave() != c.leave || s.MayReachAny() != c.any {
			t.Errorf("%s: may leave: %v, may reach any: %v", name, s.MayLeave(), s.MayReachAny())
		}
		for _, text := range strings.Fields(c.reached) {
			address, not := strings.CutPrefix(text, "!")
			if s.MayReach(netip.MustParseAddr(address)) == not {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}
