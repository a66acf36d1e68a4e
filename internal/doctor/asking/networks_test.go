package asking

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		networks, all string
		want          bool
	}{
		{"0.0.0.0/0", "0.0.0.0/0", true},
		{"0.0.0.0/1 128.0.0.0/1", "0.0.0.0/0", true},
		{"128.0.0.0/1 0.0.0.0/2 64.0.0.0/2", "0.0.0.0/0", true},
		{"128.0.0.0/1 0.0.0.0/2 64.0.0.0/3", "0.0.0.0/0", false},
		{"10.0.0.0/8 192.168.0.0/16", "0.0.0.0/0", false},
		{"::/0", "0.0.0.0/0", false},
		{"::/0", "2000::/3", true},
		{"2000::/4 3000::/4", "2000::/3", true},
		{"2001:db8::/32 fd00::/8", "2000::/3", false},
		{"0.0.0.0/0", "2000::/3", false},
		{"10.0.0.0/31 10.0.0.2/32 10.0.0.3/32", "10.0.0.0/30", true},
		{"10.0.0.0/31 10.0.0.3/32", "10.0.0.0/30", false},
	} {
		var networks []config.Network
		for network := range strings.FieldsSeq(c.networks) {
			networks = append(networks, config.Network{Prefix: netip.MustParsePrefix(network)})
		}
		if got := covers(networks, netip.MustParsePrefix(c.all)); got != c.want {
			t.Errorf("%s cover %s: %v, expected %v", c.networks, c.all, got, c.want)
		}
	}
}
